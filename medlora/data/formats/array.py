"""A JSON array as its items: cut apart without being parsed, which is done elsewhere.

A file may be larger than memory, an item may not.  Source: RFC 8259.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import BinaryIO

from medlora.data.formats.format import Format, NumberedRows, Opening
from medlora.data.formats.lines import line_rows
from medlora.data.formats.opened import head_of
from medlora.data.problems import Problem
from medlora.data.size_limits import LONGEST, refuse_long

_CHUNK = 1 << 18
# A whole text, a mark, or the quotation mark of a text whose end was not read yet.
_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},"]', re.DOTALL)
_BREAKS = re.compile(rb'("(?:[^"\\]++|\\.)*+")|[\r\n]+', re.DOTALL)
_ONE_LIST = "write one list of rows: [{...}, {...}]"


def array_items(
    stream: BinaryIO, report: Callable[[Problem], object]
) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, JSON on one line) of each item of an array.

    Args:
        stream: begins with the array.
        report: takes what is wrong with the array; what is wrong with an item is seen later.
    """
    items = _Cutter(stream)
    for number in count(1):
        item = items.next(number)
        if item is None:
            break
        if not item.strip():
            if number > 1 or not items.closed:
                report(Problem(number, "nothing between two commas", "leave one of them out"))
            continue
        line = _BREAKS.sub(lambda match: match[1] or b" ", item)
        if b"\n" in line or b"\r" in line:
            report(Problem(number, "a line break within a string", "write it as \\n"))
            continue
        yield number, line
    if not items.closed:
        report(Problem(0, "the list is not closed: the file ends too early", _ONE_LIST))
    elif items.rest().strip():
        report(Problem(0, "something follows the end of the list", _ONE_LIST))


class _Cutter:
    """Finds the commas of the outermost list."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = b""
        self._start = self._at = 0  # of that: where the item begins, how far it was looked at
        self._depth = 0
        self.closed = False

    def next(self, number: int) -> bytes | None:
        """Return the next item, which has this number; None at the end.

        Raises:
            StopReadingError: it is too long.
        """
        size = _CHUNK
        while not self.closed:
            for match in _MARK.finditer(self._held, self._at):
                if match[0] == b'"':
                    break
                self._at = match.end()
                if self._ends(match[0]):
                    item = self._held[self._start : match.start()]
                    self._start = self._at
                    return item
            unfinished = self._held[self._start :]
            refuse_long(unfinished, number, of_row=True)
            more = self._stream.read(size)
            if not more:
                return None
            self._held = unfinished + more
            self._at, self._start = self._at - self._start, 0
            size = min(2 * size, LONGEST)  # an item that is long is looked at a few times, not many
        return None

    def _ends(self, mark: bytes) -> bool:
        """Follow one mark; tell whether an item ends before it."""
        if mark in (b"[", b"{"):
            self._depth += 1
            if self._depth == 1:
                self._start = self._at
            return False
        if mark in (b"]", b"}"):
            self._depth -= 1
            self.closed = self._depth == 0
            return self.closed
        return mark == b"," and self._depth == 1

    def rest(self) -> bytes:
        """Return what follows the array, its first part if it is long."""
        return self._held[self._start :] + self._stream.read(_CHUNK)


def array_rows(opening: Opening) -> NumberedRows:
    """Return the rows of a .json file: one list, or in spite of its name one object a line."""
    head = head_of(opening.stream).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] != b"{":
        return array_items(opening.stream, opening.report)
    first, ended, _ = head.partition(b"\n")
    if ended and not _is_json(first):
        problem = "one JSON object over several lines instead of a list"
        opening.report(Problem(0, problem, "write a list of rows: [{...}, {...}]"))
        return iter(())
    return line_rows(opening)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


ARRAY = Format("json", (".json",), array_rows, is_list=True)
