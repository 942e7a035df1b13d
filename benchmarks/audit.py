"""How fast data is audited, and whether the audit and the split are right on a file.

    python -m benchmarks.audit --data FILE [--question question --answer answer] [--folder DIR]

Duplicates are counted twice: by the audit, and here from the texts themselves with nothing but
dictionaries.  So is what the held-out split leaks.  A second start is timed too.  Prints one line
of JSON.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from medlora.config import RunConfig, from_mapping
from medlora.data.data_files import DataFiles
from medlora.data.folding import folded
from medlora.data.formats.joined_files import Source
from medlora.files import json_bytes, sha256_bytes, sha256_file
from medlora.inputs.audit import Audit, audit_files, report_on
from medlora.inputs.prepare import hold_out_rows
from medlora.runtime.machine import usable_cpus


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data/medquad.jsonl"))
    options.add_argument("--question", default="question")
    options.add_argument("--answer", default="answer")
    options.add_argument("--folder", type=Path, help="where the audit is kept; else thrown away")
    chosen = options.parse_args()
    if not chosen.data.is_file():
        print(json.dumps({"skipped": f"{chosen.data.name} is not there"}))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        print(json.dumps(measure(chosen.data, (chosen.question, chosen.answer), folder)))
    return 0


def measure(file: Path, columns: tuple[str, str], folder: Path) -> dict[str, Any]:
    """Return the figures of one file.

    Args:
        file: JSON Lines.
        columns: its fields for the question and the answer.
        folder: where the audit is kept.
    """
    names = dict(zip(("prompt", "response"), columns, strict=True))
    cfg = from_mapping({"training": {"output_dir": str(folder)}, "data": {"columns": names}})
    files, sha256 = DataFiles(Source.of(file), None), {"train": sha256_file(file)}
    before, began, cpu = _peak_bytes(), time.monotonic(), _cpu_s()
    audit = audit_files(files, sha256, cfg)
    first_s, first_cpu_s = time.monotonic() - began, _cpu_s() - cpu
    grown = _peak_bytes() - before
    began = time.monotonic()
    again = audit_files(files, sha256, cfg)
    second_s = time.monotonic() - began
    split = hold_out_rows(audit.rows["train"], cfg, near=audit.near)
    reports = [json_bytes(report_on(one, cfg, split=split)) for one in (audit, again)]
    found = json.loads(reports[0])["duplicates"]["train"]
    texts = _texts(file, columns)
    return {
        "rows": len(texts),
        "made": audit.entry.made,
        "first_s": round(first_s, 2),
        "rows_per_s": round(len(texts) / first_s),
        "cpu_s": round(first_cpu_s, 2),
        "rows_per_cpu_s": round(len(texts) / first_cpu_s),
        "second_start_s": round(second_s, 3),
        "bytes_more_at_most": grown,
        "duplicates": {"audit": found["exact"], "by_hand": _duplicates(texts)},
        "normalised": found["normalised"],
        "near_duplicates": found["near_duplicates"],
        "same_bytes_twice": sha256_bytes(reports[0]) == sha256_bytes(reports[1]),
        "split": split.facts,
        "leaks_by_hand": _leaks(texts, split.held),
        "random_split_leaks_by_hand": _leaks(texts, _at_random(audit, cfg)),
        "python": platform.python_version(),
        "cpus": usable_cpus(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


def _texts(file: Path, columns: tuple[str, str]) -> list[tuple[str, ...]]:
    with file.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    return [tuple(row[column] for column in columns) for row in rows]


def _duplicates(texts: list[tuple[str, ...]]) -> dict[str, int]:
    kinds = {
        "rows": texts,
        "questions": [question for question, _ in texts],
        "answers": [answer for _, answer in texts],
    }
    return {
        name: sum(count - 1 for count in Counter(values).values()) for name, values in kinds.items()
    }


def _leaks(texts: list[tuple[str, ...]], held: np.ndarray) -> dict[str, int]:
    """Count the held-out rows whose folded question, or whose answer, is trained on."""
    out = set(held.tolist())
    sides: dict[str, tuple[set[str], list[str]]]
    sides = {
        "questions": (set(), []),
        "answers": (set(), []),
    }
    for number, (question, answer) in enumerate(texts):
        for kind, text in (("questions", folded(question)), ("answers", folded(answer))):
            known, wanted = sides[kind]
            if number in out:
                wanted.append(text)
            else:
                known.add(text)
    return {kind: sum(text in known for text in wanted) for kind, (known, wanted) in sides.items()}


def _at_random(audit: Audit, cfg: RunConfig) -> np.ndarray:
    count = len(audit.rows["train"])
    wanted = round(count * cfg.data.eval_fraction)
    return np.random.RandomState(cfg.training.seed).permutation(count)[:wanted]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    sys.exit(main())
