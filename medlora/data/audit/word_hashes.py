"""Texts as numbers: a hash for each word and each run of words, for many texts at once.

R texts, W words in all of them.  A hash is a polynomial in an odd base modulo 2**64: differences
of one running sum give the hash of any stretch, for an odd base has an inverse.
Source: Karp and Rabin, "Efficient randomized pattern-matching algorithms", 1987.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
_LETTERS, _WORDS = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd bases
_SPACE = 0x20
_LEAST_BITS = 16


@dataclass(frozen=True, slots=True)
class Words:
    """The words of some texts, one text after the other."""

    hashes: Hashes  # [W]
    starts: NDArray[np.int64]  # [R + 1]: where each text's words begin, and end
    owner: NDArray[np.int64]  # [W]: the text of each word
    sums: Hashes  # [W + 1]: of word * base**position


def words_of(texts: Sequence[str]) -> Words:
    """Return the words of some folded texts, none of which is empty."""
    counts = [text.count(" ") + 1 for text in texts]
    letters = np.frombuffer((" ".join(texts) + " ").encode(), np.uint8)
    ends = np.flatnonzero(letters == _SPACE)
    starts = np.r_[0, ends[:-1] + 1]
    hashes = mixed(_stretches(letters + np.uint64(1), starts, ends, base=_LETTERS))
    owner = np.repeat(np.arange(len(counts)), counts)
    return Words(hashes, np.r_[0, np.cumsum(counts)], owner, _sums(hashes, base=_WORDS))


def runs_of(words: Words, length: int) -> tuple[Hashes, NDArray[np.int64]]:
    """Return the hash of each run of so many words within one text, and the texts they are in."""
    count = max(len(words.hashes) - length + 1, 0)
    inside = words.owner[:count] == words.owner[length - 1 :]
    hashes = words.sums[length:][:count] - words.sums[:count]
    hashes *= _powers(_inverse(_WORDS), count)
    return hashes[inside], words.owner[:count][inside]


def _stretches(
    values: Hashes, starts: NDArray[np.int64], ends: NDArray[np.int64], *, base: int
) -> Hashes:
    """Return the sum of value * base**position over each stretch, as if it began at 0."""
    sums = _sums(values, base=base)
    return (sums[ends] - sums[starts]) * _powers(_inverse(base), len(sums))[starts]


def _sums(values: Hashes, *, base: int) -> Hashes:
    """Return the running sums of value * base**position, from 0 on."""
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.multiply(values, _powers(base, len(values)), out=sums[1:])
    np.cumsum(sums[1:], out=sums[1:])
    return sums


def _inverse(base: int) -> int:
    return pow(base, -1, 1 << 64)


def _powers(base: int, count: int) -> Hashes:
    """Return base**0, base**1, ... modulo 2**64."""
    return _many_powers(base, max(count - 1, 1 << _LEAST_BITS).bit_length())[:count]


@lru_cache(maxsize=32)  # twice those for the largest piece: some 40 MB
def _many_powers(base: int, bits: int) -> Hashes:
    powers = np.full(1 << bits, base, dtype=np.uint64)
    powers[0] = 1
    np.multiply.accumulate(powers, out=powers)
    powers.flags.writeable = False
    return powers


def mixed(values: Hashes) -> Hashes:
    """Return values whose every bit depends on every bit.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
