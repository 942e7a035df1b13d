"""Markdown that holds whatever it is given: what people and folders are called stays text.

No statement and no name becomes a tag, a heading, a link, an image, a list or a cell of its own.
Source: CommonMark 0.31, sections 2.4 (backslash escapes), 2.5 (entities), 4 (leaf blocks).
"""

import re
from collections.abc import Sequence

from medlora.escape import escaped

_SIGNIFICANT = 6
_MARKS = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")  # `_` within a word is none
_ENTITY = re.compile(r"&(?=#|\w+;)")
_OPENERS = "#>+-=:"  # of blocks, where a line begins with one; so does a number with a full stop
_NUMBER = re.compile(r"\d+[.)]")


class Marked(str):
    """Markdown of our own making, in which nothing is to be escaped any more."""

    __slots__ = ()


def code(text: str) -> Marked:
    """Return a text as code, in which marks mean nothing."""
    plain = escaped(text).replace("`", "'").replace("|", "\\|")
    return Marked(f"`{plain}`")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; an empty text where there is no row."""
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines)


def cell(text: str) -> str:
    """Return a text in one line that means nothing but itself."""
    return text if isinstance(text, Marked) else _inline(" ".join(text.split()))


def prose(text: str) -> str:
    """Return a text of one paragraph or several, in which no line opens anything else."""
    return "\n".join(map(_line, text.strip().split("\n")))


def printable(text: str) -> str:
    """Return a text that UTF-8 and XML can hold, line breaks kept; a file's name may be any bytes.

    Source: XML 1.0, section 2.2.
    """
    return escaped(text, keep="\n\r\t")


def _inline(text: str) -> str:
    plain = _MARKS.sub(r"\\\g<0>", escaped(text))
    return _ENTITY.sub("&amp;", plain).replace("<", "&lt;")


def _line(text: str) -> str:
    line = _inline(text.strip())
    number = _NUMBER.match(line)
    if number:
        return f"{line[: number.end() - 1]}\\{line[number.end() - 1 :]}"
    return f"\\{line}" if line and line[0] in _OPENERS else line


def number(value: float | str) -> str:
    """Return a number for people: whole ones whole, others to six digits."""
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else f"{value:.{_SIGNIFICANT}g}"


def page(parts: Sequence[str]) -> bytes:
    """Return the parts of a page, an empty line between any two; empty parts go."""
    return ("\n\n".join(part.strip("\n") for part in parts if part) + "\n").encode()
