"""Sketches of texts that tell how much two of them have in common.

R texts; a text is the set of its shingles, every three words in a row.  The share of equal places
in two sketches estimates the Jaccard index of the two sets.
Source: Broder, "On the resemblance and containment of documents", 1997.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.word_hashes import Hashes, Words, mixed

SHINGLE = 3  # words
PLACES = 64  # of a sketch, 16 bits each
Sketches = NDArray[np.uint16]  # [R, PLACES]
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd
_SEED = 20
_MIDDLE = 16  # the bits above are near 0 in a minimum, and those below are mixed less


def shingles_of(words: Words) -> tuple[Hashes, NDArray[np.int64]]:
    """Return every text's shingles and where they begin, int64 [R].

    A text of fewer words than a shingle has is one shingle.
    """
    counts = np.diff(words.starts)
    numbers = np.maximum(counts - SHINGLE + 1, 1)
    starts = np.cumsum(numbers) - numbers
    within = np.arange(numbers.sum()) - np.repeat(starts, numbers)
    first = np.repeat(words.starts[:-1], numbers) + within
    end = np.repeat(words.starts[1:], numbers)
    total = np.zeros(len(first), dtype=np.uint64)
    for place, factor in enumerate(_FACTORS):
        at = first + place
        word = words.hashes[np.minimum(at, len(words.hashes) - 1)]
        total += np.where(at < end, word, np.uint64(0)) * np.uint64(factor)
    return mixed(total), starts


def ascending(values: Hashes) -> Hashes:
    """Return values in order, each once; for short arrays faster than NumPy's `unique`."""
    ordered = np.sort(values)
    kept: Hashes = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return kept


def sketch(words: Words) -> Sketches:
    """Return the sketch of every text."""
    shingles, starts = shingles_of(words)
    draw = np.random.RandomState(_SEED)  # its stream is frozen for ever (NEP 19)
    masks = _draws(draw)
    factors = _draws(draw) | np.uint64(1)
    sketches = np.empty((PLACES, len(starts)), dtype=np.uint16)
    buffer = np.empty_like(shingles)
    for place in range(PLACES):
        np.bitwise_xor(shingles, masks[place], out=buffer)
        np.multiply(buffer, factors[place], out=buffer)
        least = np.minimum.reduceat(buffer, starts)
        sketches[place] = (least >> np.uint64(_MIDDLE)).astype(np.uint16)
    return np.ascontiguousarray(sketches.T)


def _draws(draw: np.random.RandomState) -> Hashes:
    return draw.randint(0, 1 << 64, PLACES, dtype=np.uint64)


def alike(
    shingles: Sequence[Hashes], pairs: NDArray[np.int64], *, threshold: tuple[int, int]
) -> NDArray[np.bool_]:
    """Tell which pairs of texts have a Jaccard index of at least the threshold, bool [pairs].

    Args:
        shingles: of each text, ascending, each once.
        pairs: numbers of two texts each, int64 [pairs, 2].
        threshold: numerator and denominator: whole numbers alone decide.
    """
    share, whole = threshold
    sizes = np.array([len(hashes) for hashes in shingles])[pairs]
    possible = sizes.min(axis=1) * whole >= sizes.max(axis=1) * share
    common = np.zeros(len(pairs), dtype=np.int64)
    for number in np.flatnonzero(possible).tolist():
        both = np.concatenate([shingles[text] for text in pairs[number]])
        both.sort()
        common[number] = np.count_nonzero(both[1:] == both[:-1])
    similar: NDArray[np.bool_] = common * whole >= share * (sizes.sum(axis=1) - common)
    return similar
