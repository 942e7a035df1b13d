"""What the safety checker says of the answers that would be learnt; counts and lines, no text.

Rules read words: a red flag in a question is no diagnosis of urgency.  Shares have their 95 %
intervals, which only say how many rows were judged, not how right the rules are.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from medlora.config import DataConfig
from medlora.data.conversation_record import Record
from medlora.data.encoded_stream import records_at
from medlora.data.workers import in_order
from medlora.errors import MOST_LISTED
from medlora.evaluate.safety import SafetyChecker
from medlora.evaluate.safety.emergency import red_flags
from medlora.evaluate.safety.rules.emergency import EMERGENCY_NOT_ESCALATED
from medlora.evaluate.safety.rules.registry import RULES
from medlora.evaluate.safety.text import Scoped
from medlora.evaluate.statistics import wilson
from medlora.inputs.audit import Audit
from medlora.report.audit import Share, TargetFacts
from medlora.runtime.machine import usable_cpus

MOST_JUDGED = 20_000  # rows: under a minute on a core
_AT_ONCE = 100
_RED_FLAG = "red flag"
# What no target should do; the other rules are counted and not listed.
_LISTED = tuple(rule.name for rule in RULES if rule.is_fault)


def judge_targets(audit: Audit, cfg: DataConfig) -> TargetFacts:
    """Return JSON values: how many of the training file's answers each rule hits, and lines.

    Of a large file the rows with the smallest digests are judged: a sample that neither chance
    nor the order of the file decides.

    Args:
        audit: of the run's files.
        cfg: the data section.
    """
    rows, file = audit.rows["train"], audit.files["train"]
    lines = rows["line"][_sample(rows["text"])].tolist()
    records = records_at(file, lines, form=cfg.format, columns=cfg.columns)
    workers = usable_cpus() if len(lines) > 2 * _AT_ONCE else 0
    hits: Counter[str] = Counter()
    first: dict[str, list[str]] = {}
    for reply in in_order(_judge, _requests(records), workers=workers):
        for line, names in json.loads(reply[0]):
            hits.update(names)
            for name in set(names) & set(_LISTED):
                first.setdefault(name, []).append(f"{file.name}:{line}")
    urgent = hits[_RED_FLAG]
    return {
        "ruleset": SafetyChecker().ruleset,
        "rows": len(rows),
        "judged_rows": len(lines),
        "rules": {rule.name: _share(hits[rule.name], len(lines)) for rule in RULES},
        "red_flags_in_questions": _share(urgent, len(lines)),
        "red_flags_answered_with_urgent_care": _share(
            urgent - hits[EMERGENCY_NOT_ESCALATED.name], urgent
        ),
        "lines": {name: first[name][:MOST_LISTED] for name in _LISTED if name in first},
    }


def _sample(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return which rows are judged, in the order of the file."""
    return np.sort(np.argsort(digests, kind="stable")[:MOST_JUDGED])


def _requests(records: Iterable[Record]) -> Iterator[bytes]:
    records = iter(records)
    while some := list(islice(records, _AT_ONCE)):
        yield json.dumps(
            [(record.line, record.question, record.answer) for record in some]
        ).encode()


def _judge(request: bytes) -> list[bytes]:
    """Return the rules that hit each answer, with its line."""
    checker, judged = SafetyChecker(), []
    for line, question, answer in json.loads(request):
        findings = checker.check_safety_compliance(answer, prompt=question)["findings"]
        names = sorted({finding["rule"] for finding in findings})
        if question and red_flags(Scoped.of(question)):
            names.append(_RED_FLAG)
        judged.append((line, names))
    return [json.dumps(judged).encode()]


def _share(k: int, n: int) -> Share:
    low, high = wilson(k, n)
    return {"k": k, "n": n, "wilson95": [round(low, 4), round(high, 4)]}
