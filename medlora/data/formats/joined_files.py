"""One or several files read as one: their rows in order, each known by a number that says where.

A row's number counts lines or rows of its file from 1; the number of the file stands in the bits
above.  So the numbers of the first file are plain.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from medlora.config import ColumnsConfig
from medlora.data.formats.encoding import UTF8, utf16_of
from medlora.data.formats.format import Format, NumberedRows, Opening, Report
from medlora.data.formats.names import FileFormat, format_of
from medlora.data.formats.opened import BrokenError, Opened, head_of, opened
from medlora.data.jsonl import FILE_BITS, IN_FILE, Piece, read_pieces, wrong_head
from medlora.data.problems import Problem, StopReadingError
from medlora.files import sha256_file, sha256_json, storage_errors


@dataclass(frozen=True, slots=True)
class Source:
    """Files of rows, read one after the other."""

    paths: tuple[Path, ...]
    characters: int = 3072  # of a row that is made of plain text
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)  # what those may be called
    encoding: str = UTF8  # of all files that are text
    form: str | None = None  # what tables must have the columns of, `auto` for any; None: whatever

    @classmethod
    def of(cls, *paths: Path) -> "Source":
        """Return these files as one."""
        return cls(paths)

    def __str__(self) -> str:
        first = str(self.paths[0])
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"

    @property
    def name(self) -> str:
        """What a log and a report call it; it names no folder."""
        first = self.paths[0].name
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"

    @property
    def folder(self) -> Path:
        """Where the first file is."""
        return self.paths[0].parent

    @property
    def size(self) -> int:
        """Bytes of all files.

        Raises:
            StorageError: one of them is gone.
        """
        with storage_errors(self.folder):
            return sum(path.stat().st_size for path in self.paths)

    @property
    def read_as(self) -> list[str]:
        """What else decides the rows, beside the content: each file's format, its encoding."""
        return [self._read_as(format_of(path).format) for path in self.paths]

    def _read_as(self, kind: Format) -> str:
        length = f":{self.characters}" if kind.is_prose else ""
        encoding = f" {self.encoding}" if kind.is_text and self.encoding != UTF8 else ""
        return f"{kind.name}{length}{encoding}"

    def sha256(self) -> str:
        """Return the digest of the only file, or of the list of all files' digests."""
        return _joint([sha256_file(path) for path in self.paths])

    def place(self, number: int) -> str:
        """Return `file:line`, or `file: row N` where rows stand on no lines of their own."""
        path, _ = self._split(number)
        return f"{path}{self._within(number)}"

    def short_place(self, number: int) -> str:
        """Return the same without the file's folder."""
        path, _ = self._split(number)
        return f"{path.name}{self._within(number)}"

    @property
    def as_written(self) -> bool:
        """Whether rows are read as they stand in the files, so that a column can be pointed at."""
        return all(format_of(path).seekable for path in self.paths)

    def read(self, size: int, report: Report) -> "Reading":
        """Return a pass over all rows, in pieces of about `size` bytes."""
        return Reading(self, size, report)

    def at(self, rows: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Yield pieces of one row each.

        Args:
            rows: (number, offset of its piece), numbers ascending.
        """
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for number, offset in rows:
            wanted.setdefault(self._split(number)[0], []).append((number, offset))
        for path, those in wanted.items():
            if format_of(path).seekable and self.encoding == UTF8:
                yield from _sought(path, those)
            else:
                yield from self._passed(path, {number for number, _ in those})

    def rows_of(self, path: Path, stream: BinaryIO, report: Report) -> NumberedRows:
        """Return one file's rows as lines of JSON, with their numbers in it.

        Args:
            path: one of the files.
            stream: its content, unpacked.
            report: takes what is wrong.
        """
        kind = format_of(path)
        return kind.format.read(
            Opening(
                path,
                kind.suffix,
                kind.compression,
                stream,
                report,
                self.columns,
                self.form,
                self.characters,
            )
        )

    def _passed(self, path: Path, numbers: set[int]) -> Iterator[Piece]:
        base, last = self.paths.index(path) << FILE_BITS, max(numbers)
        with opened(path, format_of(path).compression, self.encoding) as content:
            for row, text in self.rows_of(path, content.stream, _unheard):
                if base + row in numbers:
                    yield Piece(base + row, text)
                if base + row >= last:
                    return

    def _within(self, number: int) -> str:
        path, row = self._split(number)
        if not row:
            return ""
        return f":{row}" if format_of(path).format.by_line else f": row {row}"

    def _split(self, number: int) -> tuple[Path, int]:
        return self.paths[number >> FILE_BITS], number & IN_FILE


class Reading:
    """One pass over the files of a source."""

    def __init__(self, source: Source, size: int, report: Report) -> None:
        self._source, self._size, self._report = source, size, report
        self._digests: list[str] = []

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces: lines of JSON, a blank one where no row begins.

        Raises:
            StorageError: a file cannot be read.
            MissingPartError: a library is not installed.
        """
        for number, path in enumerate(self._source.paths):
            yield from self._file(path, number << FILE_BITS)

    @property
    def sha256(self) -> str:
        """The digest of what was read, once all of it was."""
        return _joint(self._digests)

    def _file(self, path: Path, base: int) -> Iterator[Piece]:
        def report(problem: Problem) -> None:
            self._report(replace(problem, line=base + problem.line))

        kind = format_of(path)
        with opened(path, kind.compression, self._source.encoding) as content:
            try:
                wrong = _wrong(content, kind, self._source.encoding)
                if wrong:
                    report(wrong)
                elif kind.format.is_lines:
                    yield from read_pieces(content.stream, self._size, first=base + 1)
                else:
                    rows = self._source.rows_of(path, content.stream, report)
                    yield from _packed(rows, self._size, base)
            except BrokenError:
                fault = f"the {kind.compression} archive is damaged, or ends too early"
                report(Problem(0, fault, "copy it again, or compress it again"))
            except StopReadingError as error:
                report(error.problem if error.of_row else _placed(error.problem, kind))
            # What is no text was not read from its beginning to its end.
            digest = content.sha256() if kind.format.is_text else sha256_file(path)
            self._digests.append(digest)


def _joint(digests: list[str]) -> str:
    return digests[0] if len(digests) == 1 else sha256_json(digests)


def _unheard(_: Problem) -> None:
    """Take a problem that was reported when the file was read first."""


def _placed(problem: Problem, kind: FileFormat) -> Problem:
    """Return a problem that is known by its line, where rows of the file are not."""
    if kind.format.by_line or not problem.line:
        return problem
    where = f"line {problem.line}"
    within = "the line" in problem.fault
    fault = problem.fault.replace("the line", where) if within else f"{problem.fault}, in {where}"
    return replace(problem, line=0, fault=fault)


def _wrong(content: Opened, kind: FileFormat, encoding: str) -> Problem | None:
    """Tell whether a file is no text, or text of another encoding, by its first bytes."""
    if not kind.format.is_text:
        return None
    head, array = content.head(), kind.format.is_list
    wide = utf16_of(head)
    if wide and not encoding.startswith("utf-16"):
        fix = f"set data.encoding={wide}, or save it as UTF-8"
        wrong: Problem | None = Problem(1, "UTF-16 text", fix)
    else:
        wrong = None if wide else wrong_head(head, array=array)
        wrong = wrong or wrong_head(head_of(content.stream), array=array)
    return wrong if wrong is None or kind.format.by_line else replace(wrong, line=0)


def _packed(rows: Iterable[tuple[int, bytes]], size: int, base: int) -> Iterator[Piece]:
    """Yield rows in pieces; blank lines stand for numbers that no row has."""
    lines: list[bytes] = []
    first, held = 1, 0
    for number, line in rows:
        if held >= size:
            yield Piece(base + first, b"\n".join([*lines, b""]))
            first, lines, held = first + len(lines), [], 0
        gap = number - first - len(lines)
        lines += [*([b""] * gap), line]
        held += gap + len(line) + 1
    if lines:
        yield Piece(base + first, b"\n".join([*lines, b""]))


def _sought(path: Path, rows: Iterable[tuple[int, int]]) -> Iterator[Piece]:
    with storage_errors(path), path.open("rb") as stream:
        for number, offset in rows:
            stream.seek(offset)
            yield Piece(number, stream.readline(), offset)
