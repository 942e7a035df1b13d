"""A text with one sentence a line, as long as it was: what every rule reads.

Rules are patterns whose gaps are `.{0,n}`: a dot does not cross a line, so a rule stays within a
sentence; and a gap is bounded, so a rule takes time in proportion to the text, whatever is in it.
"""

import re
from dataclasses import dataclass
from functools import cached_property

_END = re.compile(r"[.!?]+|\n+")  # maximal runs: never looked at twice
_ABBREVIATIONS = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "e.g",
        "i.e",
        "eg",
        "ie",
        "approx",
        "no",
        "fig",
        "al",
        "inc",
        "tab",
    ]
)
_LONGEST_ABBREVIATION = 6
_SPACE = frozenset(" \n")
_CLOSING = frozenset("\"')]*_")
_MOST_CLOSING = 3
_FAR = 600  # characters of a sentence that can bear on a word in it
_LIST_DIGITS = 2
_ALIKE = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u02bc": "'"})
_ALIKE |= str.maketrans({"\r": " ", "\f": " ", "\v": " ", "\xa0": " ", "\t": " "})
_ALIKE |= str.maketrans({"\u2013": "-", "\u2014": "-", "\u2011": "-", "\u2028": "\n", "\x85": "\n"})


@dataclass(frozen=True)
class Scoped:
    """A text as rules read it.

    Attributes:
        lines: lower case, straight quotes, each sentence on a line of its own; a character here
            stands where it stood in the text.
    """

    lines: str

    @classmethod
    def of(cls, text: str) -> "Scoped":
        """Return the text, lowered and cut at its sentences' ends."""
        low = _lowered(text.translate(_ALIKE))
        cut, last = [], 0
        for match in _END.finditer(low):
            end = _boundary(low, match)
            if end is not None and end >= last:
                cut += [low[last:end], "\n"]
                last = end + 1
        return cls("".join([*cut, low[last:]]))

    @cached_property
    def starts(self) -> list[int]:
        """Where each sentence begins; blank lines are none."""
        return [match.start() for match in re.finditer(r"[^\n ][^\n]*", self.lines)]

    def sentence(self, position: int) -> str:
        """Return the sentence around a position."""
        begin, end = self.bounds(position)
        return self.lines[begin:end]

    def bounds(self, position: int) -> tuple[int, int]:
        """Return where the sentence around a position begins and ends, or what is near of it."""
        least, most = max(0, position - _FAR), min(len(self.lines), position + _FAR)
        begin, end = (
            self.lines.rfind("\n", least, position) + 1,
            self.lines.find("\n", position, most),
        )
        return begin or least, most if end < 0 else end

    def head(self, sentences: int) -> str:
        """Return the first sentences."""
        starts = self.starts
        return self.lines if len(starts) <= sentences else self.lines[: starts[sentences]]


def _lowered(text: str) -> str:
    """Return lower case of the same length: a letter that would become two stays as it is."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(lower if len(lower) == 1 else char for char in text for lower in [char.lower()])


def _boundary(text: str, match: re.Match[str]) -> int | None:
    """Return the white space that a sentence ends with, None where none ends."""
    if match[0][0] == "\n":
        return match.start()
    end = match.end()
    while end < len(text) and end - match.end() < _MOST_CLOSING and text[end] in _CLOSING:
        end += 1
    if end >= len(text) or text[end] not in _SPACE:
        return None
    return None if match[0] == "." and _abbreviated(text, match.start()) else end


def _abbreviated(text: str, stop: int) -> bool:
    """Return whether a full stop closes an abbreviation, an initial or a list's number."""
    words = re.split(r"[ \n(]", text[max(0, stop - _LONGEST_ABBREVIATION - 1) : stop])
    word = words[-1]
    if word.isdigit() and len(word) <= _LIST_DIGITS:
        before = stop - len(word)
        return before == 0 or text[before - 1] == "\n"
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i")
