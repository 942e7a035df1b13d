"""Plain text as rows of whole paragraphs, for continued pre-training."""

import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from medlora.data.formats.format import Format, NumberedRows, Opening
from medlora.data.problems import Problem
from medlora.data.size_limits import lines_of

# Where a paragraph that is too long may be cut, the best place first.
_CUTS = (re.compile(r"\n"), re.compile(r"[.!?…。]\s"), re.compile(r"\s"))
_INK = re.compile(r"\S")


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
    for number, text in enumerate(_rows(_parts(_lines(stream, report), most), most), start=1):
        yield number, json.dumps({column: text}, ensure_ascii=False).encode()


def _rows(parts: Iterator[str], most: int) -> Iterator[str]:
    row = ""
    for part in parts:
        if row and len(row) + len(part) + 2 > most:
            yield row
            row = part
        else:
            row = f"{row}\n\n{part}" if row else part
    if row:
        yield row


def _parts(lines: Iterator[str], most: int) -> Iterator[str]:
    """Yield paragraphs; of a long one parts, as soon as they are known."""
    paragraph = ""
    for line in lines:
        if line:
            paragraph = f"{paragraph}\n{line}" if paragraph else line
        elif paragraph:
            yield paragraph
            paragraph = ""
        start = 0
        while len(paragraph) - start > most:
            end = start + _cut(paragraph[start : start + most])
            part = paragraph[start:end].rstrip()
            start = _behind_space(paragraph, end)
            if part:
                yield part
        paragraph = paragraph[start:]
    if paragraph:
        yield paragraph


def _behind_space(text: str, start: int) -> int:
    match = _INK.search(text, start)
    return match.start() if match else len(text)


def _cut(text: str) -> int:
    for place in _CUTS:
        ends = [match.end() for match in place.finditer(text, len(text) // 2)]
        if ends:
            return ends[-1]
    return len(text)


def _lines(stream: BinaryIO, report: Callable[[Problem], object]) -> Iterator[str]:
    """Yield the lines, those that part paragraphs empty."""
    for number, raw in enumerate(lines_of(stream), start=1):
        content = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        try:
            yield content.decode().rstrip()
        except UnicodeDecodeError as error:
            fault = f"byte {error.start + 1} of line {number} is not UTF-8"
            report(Problem(0, fault, "save the file as UTF-8"))


def _read(opening: Opening) -> NumberedRows:
    return text_rows(
        opening.stream,
        opening.report,
        most=opening.characters,
        column=opening.columns.text,
    )


TEXT = Format("text", (".txt",), _read, is_prose=True)
