"""What is known of a file format: one record each, which `registry` holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from medlora.config import ColumnsConfig
from medlora.data.problems import Problem

Report = Callable[[Problem], object]
NumberedRows = Iterator[tuple[int, bytes]]  # (line or number from 1, the row as JSON on one line)


@dataclass(frozen=True, slots=True)
class Opening:
    """One file that is to be read as rows, and what decides how."""

    path: Path
    suffix: str  # the format's own ending of the file's name: `.csv` of train.csv.gz
    compression: str | None
    stream: BinaryIO  # its content, unpacked, as UTF-8
    report: Report  # takes what is wrong
    columns: ColumnsConfig  # what columns may be called
    form: str | None  # what a table must have the columns of, `auto` for any; None: whatever
    characters: int  # of a row that is made of plain text


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Attributes:
        name: what audits and manifests call it.
        suffixes: of files' names, lower case.
        read: yields a file's rows as lines of JSON, each with its line or its number.
        by_line: a row is known by the line on which it begins, and not by its number.
        is_lines: each line is a row already: it is passed on as it stands, and found again by its
            offset.
        is_list: a file may begin with a list.
        is_text: content is text in some encoding; else it is read by its path, not as a stream.
        is_prose: rows are cut from plain text, and their length decides what they are.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Opening], NumberedRows]
    by_line: bool = False
    is_lines: bool = False
    is_list: bool = False
    is_text: bool = True
    is_prose: bool = False
