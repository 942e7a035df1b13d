"""A data file, scanned: in order, in parallel, in memory that does not grow with it."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from medlora.config import ColumnsConfig
from medlora.data.formats.joined_files import Source
from medlora.data.jsonl import TOO_DEEP, Piece, rows_in
from medlora.data.parallel_pieces import PieceWork, from_request, replies
from medlora.data.privacy.lists import lists
from medlora.data.privacy.redact import redact_line
from medlora.data.privacy.row_texts import texts_of
from medlora.data.privacy.scan import scan_text
from medlora.data.problems import Problem

PIECE_BYTES = 1 << 16  # a third of a second of one core's work
_FEW_PIECES = 4  # so few are done before workers would have paid
_BOM = "\ufeff"


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
        piece, _ = from_request(request)
        scanned = self.scan(piece)
        values = {
            "rows": scanned.rows,
            "rows_with": scanned.rows_with,
            "findings": scanned.findings,
            "problems": [(p.line, p.fault, p.fix, p.field) for p in scanned.problems],
        }
        return [json.dumps(values).encode(), scanned.redacted]

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
                scanned.problems.append(Problem(number, *TOO_DEEP))
                continue
            if replaced is not None:
                written[number - piece.line] = replaced.encode()
        scanned.redacted = b"\n".join(written)
        return scanned

    def _row(self, raw: str, number: int, scanned: Scanned) -> str | None:
        """Add a row's findings; return the row without them where that differs and is wanted."""
        line = raw.removeprefix(_BOM)
        identified = [(text, scan_text(text.value)) for text in texts_of(line, self.columns)]
        identified = [(text, spans) for text, spans in identified if spans]
        scanned.rows += 1
        scanned.rows_with += bool(identified)
        scanned.findings += [
            Finding(number, text.column(line, span.start), text.field, *span)
            for text, spans in identified
            for span in spans
        ]
        if not (identified and self.redact):
            return None
        return raw[: len(raw) - len(line)] + redact_line(line, identified)


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
    scanner = PieceScanner(columns, redact)
    piece_work = PieceWork(scanner, _from_reply, PIECE_BYTES, _FEW_PIECES)
    yield from replies(file, piece_work, wrong.append, sha256=sha256, workers=workers)
    if wrong:
        yield Scanned(problems=wrong)


def _from_reply(parts: Sequence[bytes]) -> Scanned:
    values, redacted = json.loads(parts[0]), parts[1]
    return Scanned(
        values["rows"],
        values["rows_with"],
        [Finding(*finding) for finding in values["findings"]],
        [Problem(*problem) for problem in values["problems"]],
        redacted,
    )
