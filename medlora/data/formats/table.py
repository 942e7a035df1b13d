"""A table (CSV, TSV) as rows: its first line names the columns.

Source: RFC 4180 (quotation marks, line breaks in cells). Commas, semicolons and tabs are
recognised, for spreadsheets write whichever their country uses.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from medlora.config import ColumnsConfig
from medlora.data.problems import Problem

_LONGEST_CELL = 1 << 24  # characters; only a quotation mark left open makes one
_QUOTED = re.compile(r'"[^"]*"')
_DELIMITERS = ",;\t"
_STATED = re.compile(
    r"sep=([,;|\t])\r?\n?\Z"
)  # a first line that spreadsheets write for each other


def table_rows(
    stream: BinaryIO,
    report: Callable[[Problem], object],
    *,
    columns: ColumnsConfig,
    tabs: bool = False,
) -> Iterator[tuple[int, bytes]]:
    """Yield (line on which it begins, row as JSON) of each row; cells are texts.

    Columns without a name are left out, as those that hold nothing but a row's number.

    Args:
        stream: UTF-8.
        report: takes what is wrong.
        columns: what columns may be called.
        tabs: columns are parted by tabs whatever the first line looks like.
    """
    lines = _decoded(stream, report)
    before, header = 0, next(lines, "")
    stated = _STATED.match(header)
    if stated:
        before, header = 1, next(lines, "")
    delimiter = "\t" if tabs else stated[1] if stated else _delimiter(header)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(_with_first(header, lines), delimiter=delimiter, strict=True)
    cells = _cells(reader, before, report)
    _, first = next(cells, (0, []))
    names = usual_names([name.strip() for name in first], columns)
    if _refused(names, before + 1, report):
        return
    for line, row in cells:
        if not any(cell.strip() for cell in row):
            continue  # a blank line, as spreadsheets write it: ;;;
        if len(row) == len(names):
            yield line, _as_json(names, row)
        else:
            found = f"{len(row)} cells where the first line has {len(names)}"
            report(Problem(line, found, "put quotation marks around a cell with a comma in it"))


def usual_names(names: list[str], columns: ColumnsConfig) -> list[str]:
    """Return columns' names, `Question` as `question` where that is what is looked for."""
    looked_for = set(columns.model_dump().values())
    small = [name.lower() for name in names]
    return [
        low if name not in looked_for and low in looked_for and small.count(low) == 1 else name
        for name, low in zip(names, small, strict=True)
    ]


class _Reader(Protocol):
    """What csv.reader returns, which has no public name."""

    line_num: int

    def __next__(self) -> list[str]: ...


def _cells(
    reader: _Reader, before: int, report: Callable[[Problem], object]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows' cells with their lines."""
    while True:
        line = before + reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem, fatal = _why(str(error), line)
            report(problem)
            if fatal:
                return


def _why(error: str, line: int) -> tuple[Problem, bool]:
    """Return what is wrong with a row, and whether all that follows it is lost."""
    if "unexpected end" in error or "field limit" in error:
        found = "a quotation mark that opens a cell here is never closed"
        fix = 'close it; a quotation mark within a text is written twice: ""'
        return Problem(line, found, fix), True
    if "new-line" in error:
        found = "a line ends with a lone carriage return"
        return Problem(line, found, "save the file with LF or CRLF line ends"), True
    found = "text behind the quotation mark that closes a cell"
    return Problem(line, found, 'a quotation mark within a text is written twice: ""'), False


def _refused(names: list[str], line: int, report: Callable[[Problem], object]) -> bool:
    named = [name for name in names if name]
    if len(set(named)) == len(named) > 0:
        return False
    if names:
        found = "two columns of the same name" if named else "no column has a name"
        report(Problem(line, found, "the first line names each column once"))
    return True


def _as_json(names: list[str], cells: list[str]) -> bytes:
    row = {name: cell for name, cell in zip(names, cells, strict=True) if name}
    return json.dumps(row, ensure_ascii=False).encode()


def _delimiter(header: str) -> str:
    """Return what parts most columns of the first line."""
    plain = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=plain.count)


def _decoded(stream: BinaryIO, report: Callable[[Problem], object]) -> Iterator[str]:
    """Yield lines of text; a line that is none is reported and read as well as can be."""
    for number, raw in enumerate(stream, start=1):
        content = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        try:
            yield content.decode()
        except UnicodeDecodeError as error:
            found = f"byte {error.start + 1} of the line is not UTF-8"
            report(Problem(number, found, "save the file as UTF-8"))
            yield content.decode(errors="replace")


def _with_first(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines
