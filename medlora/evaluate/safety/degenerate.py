"""Whether output has collapsed: nothing, a loop, word salad, noise."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
# A tenth of any running English text and more; hardly any of a word salad.
_GLUE = (
    "a an and are as at be but by can do for from has have if in is it may not of on or that the "
    "their this to with you your"
)
_GLUE_WORDS = frozenset(_GLUE.split())
_GLUE_SHARE = 0.12
_FRESH_SHARE = 0.8  # distinct pairs of words; 19 of 20 ordinary answers have more than 0.7
_DEGENERATE = 0.5
_WINDOW = 60  # words in which a loop shows that a long answer ends in
_FEW = 8  # words, under which neither share says anything
_LONGEST_WORD = 120
_BROKEN = 3  # characters that stand for bytes that are no text
_RUN = re.compile(r"([^\s.\-_=*#~|])\1{39,}")  # one character 40 times
_LETTERS_SHARE = 0.5
_VOWEL = re.compile(r"[aeiouy\u00c0-\u024f]", re.IGNORECASE)
_VOICED_SHARE = 0.6
_MARKS = frozenset(".,;:!?'\"()-*#/%")
_PIECE = re.compile(r"[.!?\n]")
_LONG_PIECE, _OFTEN, _LOOP_SHARE = 15, 4, 0.3
_SAME_WORDS = 3


def words_of(text: str) -> list[str]:
    """Return the words, lower case."""
    return [word.lower() for word in WORD.findall(text)]


def fluency(response: str) -> float:
    """Return 0..1: 1 for running English text, near 0 for repetition, word salad or nothing.

    The smaller of two shares, each counted up to what ordinary answers have: pairs of words
    that are new, and words that hold English sentences together.
    """
    words = words_of(response)
    return min(1.0, _fresh(words), _glued(words)) if words else 0.0


def degenerate(response: str) -> bool:
    """Return whether an answer is empty, repeats itself, ends in a loop, or is no language.

    It reads languages with English function words; an answer in another language counts as
    gibberish, and an answer of a few words is judged by its letters alone.
    """
    if not response.strip() or response.count("\ufffd") >= _BROKEN or _RUN.search(response):
        return True
    words = words_of(response)
    if len(words) < _FEW:
        return _noise(response, words) or (len(words) > _SAME_WORDS and len(set(words)) == 1)
    return (
        _noise(response, words)
        or fluency(response) < _DEGENERATE
        or any(_fresh(window) < _DEGENERATE for window in _windows(words))
        or _looped(response)
    )


def _fresh(words: Sequence[str]) -> float:
    pairs = list(pairwise(words)) or [(words[0], "")]
    return len(set(pairs)) / len(pairs) / _FRESH_SHARE


def _glued(words: Sequence[str]) -> float:
    return sum(word in _GLUE_WORDS for word in words) / len(words) / _GLUE_SHARE


def _noise(response: str, words: Sequence[str]) -> bool:
    """Return whether it is mostly no letters, no syllables, or one endless word."""
    if any(len(word) > _LONGEST_WORD for word in words):
        return True
    solid = [char for char in response if not char.isspace()]
    if not words:
        return not any(char.isdigit() for char in solid)
    readable = sum(char.isalnum() or char in _MARKS for char in solid)
    voiced = sum(bool(_VOWEL.search(word)) for word in words)
    return readable < _LETTERS_SHARE * len(solid) or voiced < _VOICED_SHARE * len(words)


def _windows(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield stretches that follow one another, and the last, so that a loop at the end is seen."""
    if len(words) > _WINDOW:
        yield from (words[at : at + _WINDOW] for at in range(0, len(words) - _WINDOW, _WINDOW))
        yield words[-_WINDOW // 2 :]


def _looped(response: str) -> bool:
    """Return whether whole lines or sentences come again and again and fill a part of it."""
    pieces = [piece.strip().lower() for piece in _PIECE.split(response)]
    counts = Counter(piece for piece in pieces if len(piece) >= _LONG_PIECE)
    again = sum(len(piece) * count for piece, count in counts.items() if count >= _OFTEN)
    return again > _LOOP_SHARE * len(response)
