"""Plain text as rows of whole paragraphs, for continued pre-training."""

import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from medlora.data.problems import Problem

# Where a paragraph that is too long may be cut, the best place first.
_CUTS = (re.compile(r"\n"), re.compile(r"[.!?…。]\s"), re.compile(r"\s"))


def text_rows(
    stream: BinaryIO, report: Callable[[Problem], object], *, most: int, column: str
) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, row as JSON) of each row.

    A row is as many whole paragraphs as fit; a longer paragraph is cut at the end of a line, of a
    sentence or of a word.  Nothing but white space between rows is lost.

    Args:
        stream: UTF-8.
        report: takes what is wrong.
        most: characters of a row.
        column: the row's only field.
    """
    for number, text in enumerate(_rows(_paragraphs(stream, report), most), start=1):
        yield number, json.dumps({column: text}, ensure_ascii=False).encode()


def _rows(paragraphs: Iterator[str], most: int) -> Iterator[str]:
    row = ""
    for paragraph in paragraphs:
        for part in _parts(paragraph, most):
            if row and len(row) + len(part) + 2 > most:
                yield row
                row = part
            else:
                row = f"{row}\n\n{part}" if row else part
    if row:
        yield row


def _parts(paragraph: str, most: int) -> Iterator[str]:
    while len(paragraph) > most:
        end = _cut(paragraph[:most])
        part, paragraph = paragraph[:end].rstrip(), paragraph[end:].lstrip()
        if part:
            yield part
    yield paragraph


def _cut(text: str) -> int:
    for place in _CUTS:
        ends = [match.end() for match in place.finditer(text, len(text) // 2)]
        if ends:
            return ends[-1]
    return len(text)


def _paragraphs(stream: BinaryIO, report: Callable[[Problem], object]) -> Iterator[str]:
    lines: list[str] = []
    for number, raw in enumerate(stream, start=1):
        content = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        try:
            line = content.decode().rstrip()
        except UnicodeDecodeError as error:
            found = f"byte {error.start + 1} of line {number} is not UTF-8"
            report(Problem(0, found, "save the file as UTF-8"))
            continue
        if line.strip():
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)
