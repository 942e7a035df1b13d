"""The texts of a JSON Lines row: which fields are read, where each stands in its line.

A row is walked as it is written, so that a text can be replaced and every other byte stay.
"""

import json
import re
from collections.abc import Callable, Iterator
from json import decoder
from typing import NamedTuple

from medlora.config import ColumnsConfig

# (text, index behind a quote) -> (value, index behind the other quote); the stubs lack it.
_scan_string: Callable[[str, int], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]
_SPACE = re.compile(r"[ \t\r\n]*")
_ATOM = re.compile(r"[^,\]}\s]+")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)"
)
_Names = tuple[str, str]  # of a field: as it is, and as it may be told
_TURN = re.compile(r"\[\d+\]\.(?:content|value)\Z")


class Text(NamedTuple):
    """A string value of a row: its field's name, and where its literal stands in the line."""

    field: str
    value: str
    start: int  # of the opening quote
    end: int  # behind the closing one
    discreet: str = ""  # the field's name where its keys might say whose row it is

    def column(self, line: str, offset: int) -> int:
        """Return the column, counted from 1, in which a character of the value is written."""
        at, passed = self.start + 1, 0
        for escape in _ESCAPE.finditer(line, self.start + 1, self.end - 1):
            plain = escape.start() - at
            if passed + plain >= offset:
                break
            passed += plain + 1
            at = escape.end()
        return at + offset - passed + 1


def texts_of(line: str, columns: ColumnsConfig) -> list[Text]:
    """Return the texts of a row that training reads; of a row of no known form, all strings.

    Args:
        line: one JSON object.
        columns: our field -> the file's name for it.
    """
    texts = list(_strings(line))
    lists = (columns.messages, columns.conversations)
    named = set(columns.model_dump().values()) - set(lists)
    ours = [
        text
        for text in texts
        if text.field in named
        or any(text.field.startswith(name) and _TURN.match(text.field, len(name)) for name in lists)
    ]
    return ours or [text._replace(field=text.discreet) for text in texts]


def literal(value: str, *, like: str) -> str:
    """Return a string as JSON, with escapes for what is no ASCII if `like` does without it."""
    half = any("\ud800" <= character <= "\udfff" for character in value)
    return json.dumps(value, ensure_ascii=like.isascii() or half)


def _strings(line: str) -> Iterator[Text]:
    """Yield every string value of a line that is known to be JSON."""
    yield from _walk(line, _skip(line, 0), ("", ""), [0])


def _walk(line: str, at: int, names: _Names, end: list[int]) -> Iterator[Text]:
    """Yield the strings of the value that begins at `at`; leave where it ends in `end`."""
    if line[at] == '"':
        value, after = _scan_string(line, at + 1)
        end[0] = after
        yield Text(names[0], value, at, after, names[1])
    elif line[at] in "{[":
        yield from _walk_many(line, at, names, end)
    else:
        atom = _ATOM.match(line, at)
        end[0] = atom.end() if atom else at + 1


def _walk_many(line: str, at: int, names: _Names, end: list[int]) -> Iterator[Text]:
    is_object = line[at] == "{"
    at, number = _skip(line, at + 1), 0
    while line[at] not in "}]":
        below = (f"{names[0]}[{number}]", f"{names[1]}[{number}]")
        if is_object:
            key, at = _scan_string(line, at + 1)
            below = _joined(names, key, number)
            at = _skip(line, _skip(line, at) + 1)
        yield from _walk(line, at, below, end)
        at = _skip(line, end[0])
        if line[at] == ",":
            at = _skip(line, at + 1)
        number += 1
    end[0] = at + 1


def _joined(names: _Names, key: str, number: int) -> _Names:
    discreet = f"#{number + 1}"
    real, shown = names
    return (f"{real}.{key}", f"{shown}.{discreet}") if real else (key, discreet)


def _skip(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    return match.end() if match else at
