"""What the safety checker gets right on labelled answers, and how fast.

    python -m benchmarks.safety --data ../shared/data

Prints one line of JSON.  `shipped` is the shipped model on the answers that it was trained on,
`left_out` each model's answers judged by a linear part that never saw one of that model's, and
`left_out_with_prompts` by one that saw neither the model nor those prompts: what to expect of
another model, and of other requests.  Each with the rules alone beside it.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.refusal_model import ANSWERS, EVERY, REFUSALS, Row, fit, read
from medlora.evaluate.safety import SafetyChecker
from medlora.evaluate.safety.emergency import red_flags
from medlora.evaluate.safety.refusal import refusal
from medlora.evaluate.safety.refusal_classifier import Linear
from medlora.evaluate.safety.text import Scoped

SUITE = Path(__file__).parents[1] / "medlora/evaluate/suites/safety.jsonl"
_NOTHING = Linear({}, -20.0, 0.5)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder with the labelled data")
    folder = options.parse_args().data
    rows, unseen = read(folder), _unseen(folder)
    judged = [row for row in rows if row.source not in (REFUSALS, ANSWERS)]
    facts = {
        "ruleset": SafetyChecker().ruleset,
        "shipped": _rates(judged, _said()),
        "rules_alone": _rates(judged, _said(_NOTHING)),
        "left_out": _left_out(rows, judged, halves=1),
        "left_out_with_prompts": _left_out(rows, judged, halves=2),
        "refusals_of_medical_requests": _share(rows, REFUSALS, _said()),
        "the_same_by_rules_alone": _share(rows, REFUSALS, _said(_NOTHING)),
        "unseen_medical_answers": len(unseen),
        "of_them_taken_for_refusals": _refused(unseen),
        "responses_per_s": _speed(rows),
        "suite_red_flags": _red_flags(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(facts))


def _said(model: Linear | None = None) -> Callable[[Row], bool]:
    return lambda row: refusal(row.text, model=model) is not None


def _left_out(rows: Sequence[Row], judged: Sequence[Row], *, halves: int) -> dict[str, Any]:
    """Return the rates of each model, left out; and of all of them together."""
    sources = list(dict.fromkeys(row.source for row in judged))
    prompts = {name: number for number, name in enumerate(sorted({row.prompt for row in judged}))}
    said: dict[int, bool] = {}
    for source in sources:
        for half in range(halves):
            seen = [
                row
                for row in rows
                if row.source != source
                and (halves == 1 or prompts.get(row.prompt, half + 1) % halves != half)
            ]
            says = _said(fit(seen))
            for row in judged:
                if row.source == source and prompts[row.prompt] % halves == half:
                    said[id(row)] = says(row)

    def answer(row: Row) -> bool:
        return said[id(row)]

    each = {name: _rates([row for row in judged if row.source == name], answer) for name in sources}
    return {"all": _rates(judged, answer), **each}


def _rates(rows: Sequence[Row], says: Callable[[Row], bool]) -> dict[str, float]:
    """Return rates over human labels; a partial refusal counts as one."""
    said = [(says(row), row.label) for row in rows]
    true = sum(hit and label != "1" for hit, label in said)
    hits, refusals = sum(hit for hit, _ in said), sum(label != "1" for _, label in said)
    full = [hit for hit, label in said if label == "2"]
    complied = [hit for hit, label in said if label == "1"]
    return {
        "n": len(said),
        "precision": round(true / max(1, hits), 4),
        "recall": round(true / refusals, 4),
        "f1": round(2 * true / (hits + refusals), 4),
        "full_refusal_recall": round(sum(full) / len(full), 4),
        "specificity": round(1 - sum(complied) / len(complied), 4),
    }


def _share(rows: Sequence[Row], source: str, says: Callable[[Row], bool]) -> float:
    said = [says(row) for row in rows if row.source == source]
    return round(sum(said) / len(said), 4)


def _unseen(folder: Path) -> list[str]:
    """Return medical answers between those that training reads."""
    lines = (folder / ANSWERS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["answer"] for line in lines[EVERY // 2 :: EVERY]]


def _refused(answers: Sequence[str]) -> int:
    checker = SafetyChecker()
    return sum(checker.check_safety_compliance(answer)["refused"] for answer in answers)


def _speed(rows: Sequence[Row]) -> float:
    """Return answers checked in a second of one CPU, with everything that the checker does."""
    checker, texts = SafetyChecker(), [row.text.lines for row in rows[::2]]
    began = time.process_time()
    for text in texts:
        checker.check_safety_compliance(text)
    return round(len(texts) / (time.process_time() - began))


def _red_flags() -> dict[str, float]:
    """Return in how many of our own prompts a red flag is seen; the rules were tuned on them."""
    rows = [json.loads(line) for line in SUITE.read_text(encoding="utf-8").splitlines()]
    seen: dict[str, list[bool]] = {}
    for row in rows:
        seen.setdefault(row["expect"], []).append(bool(red_flags(Scoped.of(row["prompt"]))))
    return {expect: round(sum(hits) / len(hits), 4) for expect, hits in seen.items()}


if __name__ == "__main__":
    main()
