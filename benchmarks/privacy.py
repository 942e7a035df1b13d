"""What the privacy scanner finds, and how fast: python -m benchmarks.privacy --data FOLDER.

Prints one line of JSON.  Needs asq_phi_dev.jsonl (texts with labelled identifiers, and rows with
none) and mts_dialog_valid.jsonl (notes, into which identifiers are planted from a seed).
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.inject import Planted, plant
from medlora import scan_text
from medlora.data.privacy.classes import STRUCTURED
from medlora.data.privacy.lists import lists
from medlora.data.privacy.report import VERSION

GOALS = {"any_overlap": 0.98, "every_character": 0.95, "hard_negatives": 0.15}
GOAL_STRUCTURED = 0.99
GOAL_ROWS_PER_S = 500
_REPEATS = 3  # the fastest counts, for others share the machine


def labelled(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return recall by overlap and by every character, and the share of empty rows with findings.

    Args:
        rows: {"text", "phi": [{"start", "end"}]}; a row without `phi` is a hard negative.
    """
    any_overlap = every = spans = empty = hit = 0
    for row in rows:
        covered = _covered(row["text"])
        empty += not row["phi"]
        hit += not row["phi"] and bool(covered)
        for identifier in row["phi"]:
            wanted = range(identifier["start"], identifier["end"])
            spans += 1
            any_overlap += any(at in covered for at in wanted)
            every += all(at in covered for at in wanted)
    return {
        "identifiers": spans,
        "any_overlap": any_overlap / spans,
        "every_character": every / spans,
        "hard_negative_rows": empty,
        "hard_negatives": hit / empty,
    }


def planted(notes: Iterable[Planted]) -> dict[str, dict[str, float]]:
    """Return, by class, how many were planted and which share was found, wholly and at all."""
    count, overlap, every = Counter[str](), Counter[str](), Counter[str]()
    for note in notes:
        covered = _covered(note.text)
        for start, end, label in note.spans:
            count[label] += 1
            overlap[label] += any(at in covered for at in range(start, end))
            every[label] += all(at in covered for at in range(start, end))
    return {
        label: {
            "planted": count[label],
            "any_overlap": overlap[label] / count[label],
            "every_character": every[label] / count[label],
        }
        for label in sorted(count)
    }


def rows_per_s(texts: Sequence[str]) -> float:
    """Return how many texts one core scans in a second of its own time."""
    lists()
    times = []
    for _ in range(_REPEATS):
        began = time.process_time()
        for text in texts:
            scan_text(text)
        times.append(time.process_time() - began)
    return len(texts) / min(times)


def _covered(text: str) -> set[int]:
    return {at for span in scan_text(text) for at in range(span.start, span.end)}


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON Lines file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Measure, print, and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=1600, help="identifiers to plant")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    queries = read(options.data / "asq_phi_dev.jsonl")
    notes = [row["section_text"] for row in read(options.data / "mts_dialog_valid.jsonl")]
    injected = plant(notes, count=options.count, seed=options.seed)
    result = {
        "scanner": VERSION,
        "asq_phi_dev": labelled(queries),
        "planted": planted(injected),
        "rows_per_s": {
            "queries": round(rows_per_s([row["text"] for row in queries])),
            "notes": round(rows_per_s(notes)),
            "notes_with_identifiers": round(rows_per_s([note.text for note in injected])),
        },
    }
    result["reached"] = reached(result)
    print(json.dumps(result))
    sys.exit(not result["reached"])


def reached(result: dict[str, Any]) -> bool:
    """Tell whether every goal is reached."""
    found, classes = result["asq_phi_dev"], result["planted"]
    return (
        found["any_overlap"] >= GOALS["any_overlap"]
        and found["every_character"] >= GOALS["every_character"]
        and found["hard_negatives"] <= GOALS["hard_negatives"]
        and set(classes) == STRUCTURED
        and all(row["any_overlap"] >= GOAL_STRUCTURED for row in classes.values())
        and min(result["rows_per_s"][name] for name in ("queries", "notes")) >= GOAL_ROWS_PER_S
    )


if __name__ == "__main__":
    main()
