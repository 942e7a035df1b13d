"""A table (CSV, TSV) as rows: its first line names the columns.

Source: RFC 4180 (quotation marks, line breaks in cells). Commas, semicolons and tabs are
recognised, for spreadsheets write whichever their country uses.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO, Protocol

from medlora.config import ColumnsConfig
from medlora.data.column_check import wrong_columns
from medlora.data.formats.format import Format, NumberedRows, Opening
from medlora.data.problems import Problem, StopReadingError
from medlora.data.size_limits import LONGEST, LONGEST_ROW, lines_of

_QUOTED = re.compile(r'"[^"]*"')
_DELIMITERS = ",;\t"
_TWICE = 'a quotation mark within a text is written twice: ""'
_CLOSE_OR_SHORTEN = f"close its quotation mark, or shorten it; {_TWICE}"
_STATED = re.compile(
    r"sep=([,;|\t])\r?\n?\Z"
)  # a first line that spreadsheets write for each other


def table_rows(
    stream: BinaryIO,
    report: Callable[[Problem], object],
    *,
    columns: ColumnsConfig,
    form: str | None = None,
    tabs: bool = False,
) -> Iterator[tuple[int, bytes]]:
    """Yield (line on which it begins, row as JSON) of each row; cells are texts.

    Columns without a name are left out, as those that hold nothing but a row's number.

    Args:
        stream: UTF-8.
        report: takes what is wrong.
        columns: what columns may be called.
        form: `auto`, or the one that every row must have; columns that do not fit are one problem.
            If not given, all columns are read.
        tabs: columns are parted by tabs whatever the first line looks like.
    """
    lines = _decoded(stream, report)
    before, header = 0, next(lines, "")
    stated = _STATED.match(header)
    if stated:
        before, header = 1, next(lines, "")
    delimiter = "\t" if tabs else stated[1] if stated else _delimiter(header)
    csv.field_size_limit(LONGEST)
    feed = _Feed(chain([header], lines))
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    cells = _cells(reader, feed, before, report)
    _, first = next(cells, (0, []))
    names = usual_names([name.strip() for name in first], columns)
    after = next(cells, None)
    certain = after is not None and len(after[1]) == len(names)
    wrong = _wrong(names, before + 1, form=form, columns=columns, certain=certain)
    if wrong:
        report(wrong)
        return
    for line, row in chain([after] if after else [], cells):
        if not any(cell.strip() for cell in row):
            continue  # a blank line, as spreadsheets write it: ;;;
        if len(row) == len(names):
            yield line, _as_json(names, row)
        else:
            fault = f"{len(row)} cells where the first line has {len(names)}"
            report(Problem(line, fault, "put quotation marks around a cell with a comma in it"))


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


class _Feed:
    """Gives a reader its lines, and no more of them than one row may have."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._begun, self._given = 0, 0

    def begin(self, line: int) -> None:
        """Note that a row begins on a line."""
        self._begun, self._given = line, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._given += len(line)
        if self._given > LONGEST_ROW:
            fault = f"the row that begins here has more than {LONGEST_ROW:,} characters"
            raise StopReadingError(Problem(self._begun, fault, _CLOSE_OR_SHORTEN))
        return line


def _cells(
    reader: _Reader, feed: _Feed, before: int, report: Callable[[Problem], object]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows' cells with their lines."""
    while True:
        line = before + reader.line_num + 1
        feed.begin(line)
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
    if "unexpected end" in error:
        fault = "a quotation mark that opens a cell here is never closed"
        return Problem(line, fault, f"close it; {_TWICE}"), True
    if "field limit" in error:
        fault = f"a cell that begins here has more than {LONGEST:,} characters"
        return Problem(line, fault, _CLOSE_OR_SHORTEN), True
    if "new-line" in error:
        fault = "a line ends with a lone carriage return"
        return Problem(line, fault, "save the file with LF or CRLF line endings"), True
    fault = "text after the quotation mark that closes a cell"
    return Problem(line, fault, _TWICE), False


def _wrong(
    names: list[str], line: int, *, form: str | None, columns: ColumnsConfig, certain: bool
) -> Problem | None:
    named = [name for name in names if name]
    if not names:
        return None  # an empty file has no rows, which is told
    if not named or len(set(named)) < len(named):
        fault = "two columns of the same name" if named else "no column has a name"
        return Problem(line, fault, "give each column in the header line a different name")
    if not form:
        return None
    return wrong_columns(named, line, form=form, columns=columns, certain=certain)


def _as_json(names: list[str], cells: list[str]) -> bytes:
    row = {name: cell for name, cell in zip(names, cells, strict=True) if name}
    return json.dumps(row, ensure_ascii=False).encode()


def _delimiter(header: str) -> str:
    """Return what parts most columns of the first line."""
    plain = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=plain.count)


def _decoded(stream: BinaryIO, report: Callable[[Problem], object]) -> Iterator[str]:
    """Yield lines of text; a line that is none is reported and read as well as can be."""
    for number, raw in enumerate(lines_of(stream), start=1):
        content = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        try:
            yield content.decode()
        except UnicodeDecodeError as error:
            fault = f"byte {error.start + 1} of the line is not UTF-8"
            report(Problem(number, fault, "save the file as UTF-8"))
            yield content.decode(errors="replace")


def _read(opening: Opening) -> NumberedRows:
    return table_rows(
        opening.stream,
        opening.report,
        columns=opening.columns,
        form=opening.form,
        tabs=opening.suffix == ".tsv",
    )


TABLE = Format("table", (".csv", ".tsv"), _read, by_line=True)
