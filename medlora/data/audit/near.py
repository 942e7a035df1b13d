"""Rows that are nearly the same: found by their sketches, proved by their texts.

N rows.  Two rows are candidates if some band of their sketches is equal, so only rows that sort
next to each other are ever compared; a candidate counts once the Jaccard index of its shingles
is known.  Memory is a few numbers a row, whatever the rows say.
Source: Indyk and Motwani, "Approximate nearest neighbors", 1998 (locality-sensitive hashing).
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.minhash import PLACES, Sketches, alike
from medlora.data.audit.word_hashes import Hashes
from medlora.data.linked_rows import run_starts

# A share of 7/10 of the shingles; 16 bands of 4 find 98.8 % of the pairs just there.
THRESHOLD = (7, 10)
_BAND = 4  # places: 64 bits
_NEIGHBOURS = 8  # in a band's order, and the first with the same band: more would be quadratic
_LEAST_EQUAL = 36  # places: more than two standard deviations below the threshold
_AT_ONCE = 1 << 12  # pairs whose texts are in memory
_MOST_REFUTED = 1 << 22  # pairs that are not looked at again in another band
_COMPARED = 1 << 16  # pairs whose sketches are


def near_duplicates(
    sketches: Sketches,
    texts: NDArray[np.uint64],
    shingles: Callable[[NDArray[np.int64]], list[Hashes]],
) -> NDArray[np.uint64]:
    """Return the first row of each row's cluster, plus 1, or 0 where it is alone; uint64 [N].

    A cluster is a chain of rows each of which is nearly the same as another.

    Args:
        sketches: of the rows.
        texts: the digest of each folded row: equal ones are in one cluster without a look.
        shingles: returns those of some rows, ascending, each once.
    """
    chains = Chains(len(texts))
    different, first, inverse = np.unique(texts, return_index=True, return_inverse=True)
    del different
    chains.join(np.stack([first[inverse], np.arange(len(texts))], axis=1))
    rows = np.sort(first)
    bands = sketches.view(np.uint64)
    refuted = np.empty(0, np.int64)  # pairs as single numbers, ascending
    for band in range(PLACES // _BAND):
        refuted_now = [refuted]
        for pairs in _candidates(rows, bands[rows, band]):
            open_ = pairs[chains.apart(pairs)]
            close = _estimated(sketches, open_)
            close = close[~_is_in(_numbered(close, len(texts)), refuted)]
            for start in range(0, len(close), _AT_ONCE):
                some = close[start : start + _AT_ONCE]
                proved = _proved(some, shingles)
                chains.join(some[proved])
                refuted_now.append(_numbered(some[~proved], len(texts)))
        refuted = np.sort(np.concatenate(refuted_now))[:_MOST_REFUTED]
    return chains.clusters()


class Chains:
    """Rows that were joined, pair by pair; each chain is known by its first row."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count, dtype=np.int64)

    def join(self, pairs: NDArray[np.int64]) -> None:
        """Make the rows of each pair members of one chain."""
        parents = self._parents
        for row, other in pairs[pairs[:, 0] != pairs[:, 1]].tolist():
            a, b = self._first(row), self._first(other)
            parents[max(a, b)] = min(a, b)

    def apart(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which pairs are not in one chain yet."""
        firsts = self._firsts()
        apart: NDArray[np.bool_] = firsts[pairs[:, 0]] != firsts[pairs[:, 1]]
        return apart

    def clusters(self) -> NDArray[np.uint64]:
        """Return each row's chain, by the number of its first row plus 1; 0 where it is alone."""
        firsts = self._firsts()
        sizes = np.bincount(firsts, minlength=len(firsts))
        return np.where(sizes[firsts] > 1, firsts + 1, 0).astype(np.uint64)

    def _first(self, row: int) -> int:
        parents = self._parents
        while (parent := int(parents[row])) != row:
            parents[row] = parents[parent]
            row = parent
        return row

    def _firsts(self) -> NDArray[np.int64]:
        while not np.array_equal(above := self._parents[self._parents], self._parents):
            self._parents = above
        return self._parents


def _candidates(rows: NDArray[np.int64], band: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of rows with the same band, int64 [pairs, 2]."""
    order = np.argsort(band, kind="stable")
    ordered, rows = band[order], rows[order]
    starts = run_starts(ordered)
    sizes = np.diff(np.append(starts, len(rows)))
    firsts = np.repeat(starts, sizes)
    later = np.flatnonzero(firsts != np.arange(len(rows)))
    yield np.stack([rows[firsts[later]], rows[later]], axis=1)
    for step in range(1, _NEIGHBOURS + 1):
        same = later[later - step > firsts[later]]
        yield np.stack([rows[same - step], rows[same]], axis=1)


def _numbered(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return a number for each pair of `count` rows."""
    return pairs[:, 0] * count + pairs[:, 1]


def _is_in(values: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which values stand in an ordered array; NumPy's `isin` would sort both again."""
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    at = np.searchsorted(ordered, values).clip(max=len(ordered) - 1)
    present: NDArray[np.bool_] = ordered[at] == values
    return present


def _estimated(sketches: Sketches, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs whose sketches do not rule them out."""
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), _COMPARED):
        some = pairs[start : start + _COMPARED]
        equal = (sketches[some[:, 0]] == sketches[some[:, 1]]).sum(axis=1)
        kept.append(some[equal >= _LEAST_EQUAL])
    return np.concatenate(kept)


def _proved(
    pairs: NDArray[np.int64], shingles: Callable[[NDArray[np.int64]], list[Hashes]]
) -> NDArray[np.bool_]:
    rows = np.sort(pairs, axis=None)
    rows = rows[run_starts(rows)]
    numbers = np.searchsorted(rows, pairs)
    return alike(shingles(rows), numbers, threshold=THRESHOLD)
