"""Evaluation rows that the training rows give away."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.row_facts import Facts
from medlora.data.audit.schema import Leakage
from medlora.errors import MOST_LISTED

# What is shared -> the field that has it; 0 is nothing and is not shared.
_KINDS = {
    "question": "question",
    "answer": "answer",
    "group": "group",
    "near_duplicate": "near_duplicate",
}


def leakage(
    train: Facts, evaluation: Facts, *, places: tuple[Callable[[int], str], Callable[[int], str]]
) -> Leakage:
    """Return JSON values: how many evaluation rows share what with training rows, the first lines.

    Args:
        train: the training rows.
        evaluation: the evaluation rows.
        places: say where a training row and where an evaluation row stands, by its number.
    """
    shared = {name: _shared(train[field], evaluation[field]) for name, field in _KINDS.items()}
    any_kind = np.logical_or.reduce(list(shared.values()))
    return {
        "evaluation_rows": len(evaluation),
        "leaked_rows": int(any_kind.sum()),
        "same_question": int(shared["question"].sum()),
        "same_answer": int(shared["answer"].sum()),
        "same_group": int(shared["group"].sum()),
        "same_near_duplicate": int(shared["near_duplicate"].sum()),
        "lines": {
            name: [
                f"{places[1](line)} in {places[0](known)}"
                for line, known in _lines(train, evaluation[shared[name]][:MOST_LISTED], field)
            ]
            for name, field in _KINDS.items()
        },
    }


def _shared(train: NDArray[np.uint64], evaluation: NDArray[np.uint64]) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = np.isin(evaluation, train) & (evaluation != 0)
    return known


def _lines(train: Facts, leaked: Facts, field: str) -> list[tuple[int, int]]:
    pairs = []
    for row in leaked:
        first = np.flatnonzero(train[field] == row[field])[0]
        pairs.append((int(row["line"]), int(train["line"][first])))
    return pairs
