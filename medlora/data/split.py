"""Hold rows out for evaluation, so that nothing of a held-out row was trained on."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.schema import SplitFacts
from medlora.data.linked_rows import Keys, components

Indices = NDArray[np.int64]
# What may be given up, first to last, where keeping it together leaves too little to hold out.
_GIVEN_UP = ("near_duplicate", "answer")


@dataclass(frozen=True, slots=True)
class Split:
    """Training rows and evaluation rows, each in the order of the file, and how they came about."""

    train: Indices
    held: Indices
    facts: SplitFacts


def hold_out(keys: Mapping[str, Keys], *, fraction: float, seed: int) -> Split:
    """Return a split that parts no two rows with a common key, directly or through others.

    Whole components are drawn in the order of a hash of seed and question, so the split does not
    depend on the order of the file, until `fraction` of the rows is reached.  A component that
    is larger than that stays in training.  Where so much hangs together that less than half of
    the wanted rows could be held out, near duplicates may be parted, then equal answers; never
    equal questions or groups.

    Args:
        keys: {kind: the key of each row, uint64 [N], 0 for none}; `question` is one of them.
        fraction: the share of rows to hold out.
        seed: draws other components.
    """
    count = len(keys["question"])
    wanted = round(count * fraction)
    if not wanted:
        return Split(np.arange(count), np.empty(0, np.int64), {"wanted_rows": 0})
    most = -1
    for attempt in _attempts(keys):
        its_labels, its_held = _drawn(attempt, wanted, seed)
        if its_held.sum() > most:
            kept, labels, held, most = attempt, its_labels, its_held, its_held.sum()
        if 2 * most >= wanted:
            break
    facts: SplitFacts = {
        "wanted_rows": wanted,
        "held_out_rows": int(held.sum()),
        "kept_together": sorted(kept),
        "given_up": sorted(keys.keys() - kept.keys()),
        "components": len(np.unique(labels)),
        "largest_component_rows": int(np.bincount(labels).max()),
    }
    return Split(np.flatnonzero(~held), np.flatnonzero(held), facts)


def _attempts(keys: Mapping[str, Keys]) -> Iterator[Mapping[str, Keys]]:
    """Yield what is kept together: everything first, then ever less."""
    yield keys
    for kind in _GIVEN_UP:
        if kind in keys:
            keys = {name: values for name, values in keys.items() if name != kind}
            yield keys


def _drawn(
    keys: Mapping[str, Keys], wanted: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each row's component and whether it is held out."""
    labels = components(list(keys.values()))
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    ranks = _ranks(keys["question"], group, len(sizes), seed)
    order = np.argsort(ranks, kind="stable")
    fitting = order[sizes[order] <= wanted]
    if len(fitting) == len(sizes):
        fitting = fitting[:-1]  # something is left for training
    if not len(fitting) and len(sizes) > 1:
        fitting = order[[np.argmin(sizes[order])]]
    drawn = fitting[: np.searchsorted(np.cumsum(sizes[fitting]), wanted) + 1]
    held = np.zeros(len(sizes), dtype=bool)
    held[drawn] = True
    return labels, held[group]


def _ranks(
    questions: Keys, group: NDArray[np.int64], components_: int, seed: int
) -> NDArray[np.uint64]:
    """Return a number for each component that only its questions and the seed decide."""
    least = np.full(components_, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, group, questions)
    return np.array([_rank(int(question), seed) for question in least], dtype=np.uint64)


def _rank(question: int, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}\n{question}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
