"""All rows of the files that are audited, as facts: read once, in parallel, in little memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.minhash import PLACES, Sketches, ascending, shingles_of
from medlora.data.audit.overlap import EQUAL, Hits, Prompts
from medlora.data.audit.row_facts import FACT, FactMaker, FactPart, Facts, from_reply
from medlora.data.audit.schema import LineCount, Overlap
from medlora.data.audit.word_hashes import Hashes, words_of
from medlora.data.encoded_stream import parts_of
from medlora.data.formats.joined_files import Source
from medlora.data.jsonl import Piece
from medlora.data.parallel_pieces import PieceWork
from medlora.errors import MOST_LISTED, StorageError

_MOST_KNOWN = 1 << 15  # rows: of medium length, 64 MiB


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file and the SHA-256 of what it held when the run began."""

    path: Source
    sha256: str


@dataclass(slots=True)
class Contamination:
    """How many rows hold prompts of a suite, and which lines are the first."""

    prompts: int
    prompts_hit: set[int] = field(default_factory=set)
    equal_rows: int = 0
    overlapping_rows: int = 0
    lines: list[int] = field(default_factory=list)

    def facts(self) -> Overlap:
        """Return JSON values."""
        return {
            "prompts": self.prompts,
            "prompts_found": len(self.prompts_hit),
            "rows_with_the_same_question": self.equal_rows,
            "rows_with_a_run_of_words": self.overlapping_rows,
            "lines": self.lines,
        }


@dataclass(slots=True)
class Noticed:
    """How many rows have something that is easily forgotten, and which lines are the first."""

    rows: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, lines: Sequence[int]) -> None:
        """Take the lines of another piece."""
        self.rows += len(lines)
        self.lines += lines[: MOST_LISTED - len(self.lines)]

    def facts(self) -> LineCount:
        """Return JSON values."""
        return {"rows": self.rows, "lines": self.lines}


@dataclass(slots=True)
class FileFacts:
    """What the audit keeps of one file's rows."""

    rows: Facts  # FACT [N]
    sketches: Sketches
    forms: dict[str, int]
    suites: dict[str, Contamination]
    notices: dict[str, Noticed]


def read_facts(file: DataFile, maker: FactMaker, *, workers: int | None = None) -> FileFacts:
    """Return the facts of a file's rows.

    Raises:
        DataError: any row is unusable.
        StorageError: the file cannot be read, or is being changed.
        OutOfMemoryError: the system killed a worker.
    """
    rows, sketches = [np.empty(0, FACT)], [np.empty((0, PLACES), np.uint16)]
    forms: Counter[str] = Counter()
    noticed: dict[str, Noticed] = {}
    suites = {name: Contamination(count) for name, count in maker.prompts.suites.items()}
    piece_work = PieceWork(maker, from_reply)
    with closing(parts_of(file.path, piece_work, sha256=file.sha256, workers=workers)) as parts:
        for part in parts:
            rows.append(part.rows)
            sketches.append(part.sketches)
            forms.update(part.forms)
            for name, lines in part.notices.items():
                noticed.setdefault(name, Noticed()).add(lines)
            _note(suites, maker.prompts, part)
    forms_ = dict(sorted(forms.items()))
    return FileFacts(np.concatenate(rows), np.concatenate(sketches), forms_, suites, noticed)


def _note(suites: dict[str, Contamination], prompts: Prompts, part: FactPart) -> None:
    end = 0
    for name, count in prompts.suites.items():
        start, end = end, end + count
        hits = part.hits[(part.hits[:, 1] >= start) & (part.hits[:, 1] < end)]
        _add(suites[name], hits, part.rows["line"])


def _add(suite: Contamination, hits: Hits, lines: NDArray[np.int64]) -> None:
    equal = np.unique(hits[hits[:, 2] == EQUAL, 0])
    both = np.unique(hits[:, 0])
    suite.prompts_hit.update(hits[:, 1].tolist())
    suite.equal_rows += len(equal)
    suite.overlapping_rows += len(both) - len(equal)
    room = MOST_LISTED - len(suite.lines)
    suite.lines += lines[both[:room]].tolist()


@dataclass(frozen=True, slots=True)
class Shingles:
    """Reads rows again, a few at a time, where what was kept of them is not enough."""

    files: Sequence[tuple[Source, Facts]]
    maker: FactMaker
    known: dict[int, Hashes] = field(default_factory=dict)  # those read last

    def __call__(self, rows: NDArray[np.int64]) -> list[Hashes]:
        """Return the shingles of some rows, each ascending; rows count through all files."""
        new = np.array([row for row in rows.tolist() if row not in self.known], dtype=np.int64)
        if len(new):
            if len(self.known) > _MOST_KNOWN:
                self.known.clear()
                new = rows
            hashes, starts = shingles_of(words_of(list(self._texts(new))))
            sets = map(ascending, np.split(hashes, starts[1:]))
            self.known.update(zip(new.tolist(), sets, strict=True))
        return [self.known[row] for row in rows.tolist()]

    def _texts(self, rows: NDArray[np.int64]) -> Iterator[str]:
        first = 0
        for path, facts in self.files:
            mine = rows[(rows >= first) & (rows < first + len(facts))] - first
            chosen = zip(facts["line"][mine].tolist(), facts["offset"][mine].tolist(), strict=True)
            for piece in path.at(chosen):
                yield self._text(path, piece)
            first += len(facts)

    def _text(self, path: Source, piece: Piece) -> str:
        records = self.maker.records(piece).rows
        if len(records) != 1:
            raise StorageError(
                f"{path}: changed while it was read",
                fix="run it again once nobody changes the file",
            )
        return records[0].fold().text
