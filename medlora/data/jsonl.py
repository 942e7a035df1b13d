"""A JSON Lines file as rows with line numbers; strict, and silent about what the rows say.

A file may be larger than memory: it is read in pieces, each of which can be parsed elsewhere.

Source: RFC 8259 (JSON: no NaN, no Infinity, unique names expected), jsonlines.org (UTF-8, one
value a line).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from medlora.data.problems import Problem, kind
from medlora.data.size_limits import LONGEST, refuse_long
from medlora.files import storage_errors

_NOT_TEXT = {
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
    b"\x1f\x8b": ("a gzip archive", "add .gz to its name, after the format's ending: train.csv.gz"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "add .zst to its name, after the format's ending"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "save the sheet as CSV in UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet or document", "save the sheet as CSV in UTF-8"),
    b"PAR1": ("a Parquet file", "give it a name that ends in .parquet"),
    b"%PDF": ("a PDF", "give its text as .txt, or rows of questions and answers"),
}
TOO_DEEP = ("nested too deeply", "a row holds text fields or messages")
_BOM = b"\xef\xbb\xbf"
# Of several files that are read as one, the number of the file stands above a line's own bits.
FILE_BITS = 40
IN_FILE = (1 << FILE_BITS) - 1


class Piece(NamedTuple):
    """Some whole lines of a file, the number of the first, counted from 1, and where it begins."""

    line: int
    content: bytes
    offset: int = 0


def wrong_file(file: Path) -> Problem | None:
    """Tell whether a file is no JSON Lines at all, by its first bytes."""
    with storage_errors(file), file.open("rb") as stream:
        return wrong_head(stream.read(8))


def wrong_head(head: bytes, *, array: bool = False) -> Problem | None:
    """Tell whether a file is no text at all, or one list where that is not wanted.

    Args:
        head: its first bytes.
        array: a list is what it may be.
    """
    head = head.removeprefix(_BOM)
    for magic, (name, fix) in _NOT_TEXT.items():
        if head.startswith(magic):
            return Problem(1, name, fix)
    if head.lstrip().startswith(b"[") and not array:
        fix = "give it a name that ends in .json, or write one object per line"
        return Problem(1, "a JSON array", fix)
    return None


def read_pieces(stream: BinaryIO, size: int, *, first: int = 1) -> Iterator[Piece]:
    """Yield a stream in order, in pieces of about `size` bytes; no more is held in memory.

    Lines end at LF alone: other separators may stand inside a JSON text.

    Args:
        stream: JSON Lines.
        size: bytes.
        first: the number of the first line.
    """
    line, offset = first, 0
    while content := stream.read(size):
        rest = stream.readline(LONGEST + 1)
        refuse_long(rest, line - first + 1 + content.count(b"\n"))
        content += rest
        yield Piece(line, content, offset)
        offset += len(content)
        line += content.count(b"\n")


def rows_in(piece: Piece) -> Iterator[tuple[int, dict[str, Any]] | Problem]:
    """Yield (line number, row) for each row and a Problem for each line that is none.

    Blank lines are passed over.
    """
    for number, raw in enumerate(piece.content.split(b"\n"), start=piece.line):
        text = raw.removeprefix(_BOM) if number & IN_FILE == 1 else raw
        if not text.strip():
            continue
        row = _row(number, text.rstrip(b"\r"))
        yield row if isinstance(row, Problem) else (number, row)


def _row(number: int, raw: bytes) -> dict[str, Any] | Problem:
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_constant=_no_constant,
            object_pairs_hook=_unique_names,
        )
    except (ValueError, RecursionError, _BadJsonError) as error:
        return Problem(number, *_why(error))
    if not isinstance(value, dict):
        return Problem(number, f"{kind(value)} instead of an object", 'write {"prompt": ...}')
    return value


def _why(error: Exception) -> tuple[str, str]:
    """Return (the fault, how to mend it) for a line that is no JSON."""
    match error:
        case UnicodeDecodeError():
            return f"byte {error.start + 1} of the line is not UTF-8", "save the file as UTF-8"
        case json.JSONDecodeError():
            fault = f"not JSON: {error.msg} (column {error.colno})"
            return fault, "write one complete JSON object per line"
        case RecursionError():
            return TOO_DEEP
        case _BadJsonError():
            return str(error), "write plain JSON"
        case _:
            return "a number that is too long", "write it as text"


class _BadJsonError(Exception):
    """JSON that Python's parser takes and the standard forbids."""


def _no_constant(name: str) -> None:
    raise _BadJsonError(f"{name}, which is not JSON")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _BadJsonError("a field that occurs twice in one object")
    return row
