"""Rows that belong together because they share a key, or share one with a row that does."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def components(keys: Sequence[Keys]) -> NDArray[np.int64]:
    """Return the first row of each row's component, int64 [N].

    Two rows with an equal key are in one component, and so is whoever is in one with either.
    Each row takes the least label of its neighbours, then of its label, until nothing changes.

    Args:
        keys: some kinds of keys, each uint64 [N]; 0 is no key.
    """
    kinds = [_links(kind) for kind in keys]
    labels = np.arange(len(keys[0]), dtype=np.int64)
    while True:
        before = labels.copy()
        for rows, starts, sizes in kinds:
            if len(rows):
                least = np.minimum.reduceat(labels[rows], starts)
                labels[rows] = np.repeat(least, sizes)
        labels = np.minimum(labels, labels[labels])
        if np.array_equal(before, labels):
            return labels


def _links(keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows whose key another one has, by key; where each key's begin; how many."""
    rows = np.flatnonzero(keys)
    rows = rows[np.argsort(keys[rows], kind="stable")]
    starts = run_starts(keys[rows])
    sizes = np.diff(np.append(starts, len(rows)))
    shared = np.repeat(sizes > 1, sizes)
    sizes = sizes[sizes > 1]
    return rows[shared], np.cumsum(sizes) - sizes, sizes


def run_starts(ordered: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return where each run of equal values begins in an ordered array, int64 [runs]."""
    if not len(ordered):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
