"""A data file, scanned: in order, in parallel, in memory that does not grow with it."""

import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from medlora.config import ColumnsConfig
from medlora.data.formats.source import Source
from medlora.data.jsonl import Piece, rows_in
from medlora.data.privacy.fields import texts_of
from medlora.data.privacy.lists import lists
from medlora.data.privacy.redact import redact_line
from medlora.data.privacy.scan import scan_text
from medlora.data.problems import Problem
from medlora.data.workers import in_order, usable_cpus
from medlora.errors import StorageError

PIECE_BYTES = 1 << 16  # a third of a second of one core's work
_FEW_PIECES = 4  # so few are done before workers would have paid
_MOST_WORKERS = 16
_REQUEST = struct.Struct("<q")
_BOM = "\ufeff"
_TOO_DEEP = ("nested too deeply", "a row holds text fields or messages")


class Finding(NamedTuple):
    """An identifier in a file; start and end count characters of the field's text."""

    line: int
    column: int  # in the line as it is written, from 1
    field: str
    start: int
    end: int
    label: str


@dataclass(slots=True)
class Scanned:
    """A piece of a file, or all of it: what was found and how much was read."""

    rows: int = 0
    rows_with: int = 0
    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    redacted: bytes = b""

    @property
    def counts(self) -> Counter[str]:
        """How many findings each class has."""
        return Counter(finding.label for finding in self.findings)


@dataclass(frozen=True, slots=True)
class PieceScanner:
    """Turns pieces of a file into what is found there, in whatever process."""

    columns: ColumnsConfig
    redact: bool = False

    def __call__(self, request: bytes) -> list[bytes]:
        """Return the parts of a reply."""
        (first,) = _REQUEST.unpack_from(request)
        scanned = self.scan(Piece(first, request[_REQUEST.size :]))
        said = {
            "rows": scanned.rows,
            "rows_with": scanned.rows_with,
            "findings": scanned.findings,
            "problems": [(p.line, p.found, p.fix, p.field) for p in scanned.problems],
        }
        return [json.dumps(said).encode(), scanned.redacted]

    def scan(self, piece: Piece) -> Scanned:
        """Return the findings of a piece, and the piece without them if that is asked for."""
        scanned, written = Scanned(), piece.content.split(b"\n") if self.redact else []
        for row in rows_in(piece):
            if isinstance(row, Problem):
                scanned.problems.append(row)
        bad = {problem.line for problem in scanned.problems}
        for number, raw in enumerate(piece.content.split(b"\n"), start=piece.line):
            if number in bad or not raw.removeprefix(b"\xef\xbb\xbf").strip():
                continue
            try:
                replaced = self._row(raw.decode(), number, scanned)
            except RecursionError:
                scanned.problems.append(Problem(number, *_TOO_DEEP))
                continue
            if replaced is not None:
                written[number - piece.line] = replaced.encode()
        scanned.redacted = b"\n".join(written)
        return scanned

    def _row(self, raw: str, number: int, scanned: Scanned) -> str | None:
        """Add a row's findings; return the row without them where that differs and is wanted."""
        line = raw.removeprefix(_BOM)
        found = [(text, scan_text(text.value)) for text in texts_of(line, self.columns)]
        found = [(text, spans) for text, spans in found if spans]
        scanned.rows += 1
        scanned.rows_with += bool(found)
        scanned.findings += [
            Finding(number, text.column(line, span.start), text.field, *span)
            for text, spans in found
            for span in spans
        ]
        if not (found and self.redact):
            return None
        return raw[: len(raw) - len(line)] + redact_line(line, found)


def scan_file(
    file: Source,
    columns: ColumnsConfig,
    *,
    redact: bool = False,
    workers: int | None = None,
    sha256: str | None = None,
) -> Iterator[Scanned]:
    """Yield what is found in each piece of a file, the same whatever the number of workers.

    Args:
        file: of any format.
        columns: our field -> the file's name for it.
        redact: return the pieces with labels in place of identifiers as well, as JSON Lines.
        workers: how many processes; as many as pay, if not given.
        sha256: what the file's content has to be, if that is known.

    Raises:
        StorageError: the file cannot be read, or is being changed.
        OutOfMemoryError: the system killed a worker.
    """
    lists()  # before a fork, which then shares them
    wrong: list[Problem] = []
    reading = file.read(PIECE_BYTES, wrong.append)

    def requests() -> Iterator[bytes]:
        for piece in reading:
            yield _REQUEST.pack(piece.line) + piece.content

    workers = _worker_count(file) if workers is None else workers
    for said, redacted in in_order(PieceScanner(columns, redact), requests(), workers=workers):
        reply = json.loads(said)
        yield Scanned(
            reply["rows"],
            reply["rows_with"],
            [Finding(*values) for values in reply["findings"]],
            [Problem(*values) for values in reply["problems"]],
            redacted,
        )
    if wrong:
        yield Scanned(problems=wrong)
    if sha256 not in (None, reading.sha256):
        raise StorageError(
            f"{file}: changed while it was read", fix="run it again once nobody changes the file"
        )


def _worker_count(file: Source) -> int:
    """Return how many processes a file is worth: one for each CPU, none for a small file."""
    if file.size <= _FEW_PIECES * PIECE_BYTES:
        return 0
    return min(usable_cpus(), _MOST_WORKERS)
