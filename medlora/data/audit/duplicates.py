"""How many rows say what another row says already, and where the first of them are.

What counts is always the rows that could go: rows less different ones.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.row_facts import Facts
from medlora.data.audit.schema import Clusters, Duplicates
from medlora.data.linked_rows import run_starts
from medlora.errors import MOST_LISTED


def duplicates(rows: Facts, *, place: Callable[[int], str]) -> Duplicates:
    """Return JSON values: exact and folded duplicates in one file, near ones, the first lines.

    Near duplicates are the rows that could go if each cluster kept one, exact ones among them.

    Args:
        rows: of one file.
        place: says where the row with a number stands.
    """
    return {
        "exact": {
            "rows": _repeated(rows["exact_row"]),
            "questions": _repeated(rows["exact_question"]),
            "answers": _repeated(rows["exact_answer"]),
        },
        "normalised": {
            "rows": _repeated(rows["text"]),
            "questions": _repeated(rows["question"]),
            "answers": _repeated(rows["folded_answer"]),
        },
        "near_duplicates": _repeated(rows["near_duplicate"]),
        "clusters": _clusters(rows["near_duplicate"]),
        "lines": {
            name: [f"{place(line)} repeats {place(first)}" for line, first in pairs]
            for name, pairs in {
                "questions": _repeated_lines(rows, "question"),
                "answers": _repeated_lines(rows, "exact_answer"),
                "near_duplicates": _repeated_lines(rows, "near_duplicate"),
            }.items()
        },
    }


def _repeated(values: NDArray[np.uint64]) -> int:
    known = values[values != 0]
    return len(known) - len(np.unique(known))


def _clusters(values: NDArray[np.uint64]) -> Clusters:
    _, sizes = np.unique(values[values != 0], return_counts=True)
    sizes = sizes[sizes > 1]  # the rest of a cluster may be in the other file
    return {"count": len(sizes), "largest_rows": int(sizes.max(initial=0))}


def _repeated_lines(rows: Facts, field: str) -> list[tuple[int, int]]:
    """Return the first lines that repeat an earlier one, each with the first such line."""
    order = np.argsort(rows[field], kind="stable")
    order = order[rows[field][order] != 0]
    values = rows[field][order]
    starts = run_starts(values)
    first = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    later = order != first
    pairs = np.stack([rows["line"][order[later]], rows["line"][first[later]]], axis=1)
    return [(row, other) for row, other in pairs[np.argsort(pairs[:, 0])][:MOST_LISTED].tolist()]
