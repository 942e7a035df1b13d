"""A data file as a stream of blocks of tokens: in order, once, in parallel, in little memory."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from medlora.config import ColumnsConfig
from medlora.data.blocks import Block, BlockMaker, from_reply, to_request
from medlora.data.formats.source import Source
from medlora.data.jsonl import Piece
from medlora.data.problems import Problem, Problems
from medlora.data.records import Record, read_records
from medlora.data.workers import Work, in_order, usable_cpus
from medlora.errors import StorageError

PIECE_BYTES = 1 << 18  # a fifth of a second of one core's work
_FEW_PIECES = 8  # so few are done before workers would have paid
_MOST_WORKERS = 16  # each needs some 40 MB of its own


def worker_count(file: Source) -> int:
    """Return how many processes a file is worth: one for each CPU, none for a small file."""
    if file.size <= _FEW_PIECES * PIECE_BYTES:
        return 0
    return min(usable_cpus(), _MOST_WORKERS)


class Part(Protocol):
    """What became of a piece: its rows, and what was no row."""

    @property
    def rows(self) -> Sized:
        """One for each row."""

    @property
    def problems(self) -> list[Problem]:
        """Of the others."""


P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class Way(Generic[P]):
    """How pieces are worked on: in what process, as what request, and what the reply says."""

    work: Work
    request: Callable[[Piece, bool], bytes]  # with False, only problems are wanted
    part: Callable[[Sequence[bytes]], P]


def token_blocks(
    file: Source, maker: BlockMaker, *, sha256: str, workers: int | None = None
) -> Generator[Block, None, None]:
    """Yield the blocks of a file; see `parts_of`.

    Args:
        file: of any format.
        maker: what makes a block of a piece.
        sha256: what the file's content has to be.
        workers: how many processes; as many as pay, if not given.
    """
    way = Way(
        maker,
        lambda piece, encode: to_request(piece, encode=encode),
        lambda reply: from_reply(reply, maker.ids),
    )
    yield from parts_of(file, way, sha256=sha256, workers=workers)


def parts_of(
    file: Source, way: Way[P], *, sha256: str, workers: int | None = None
) -> Generator[P, None, None]:
    """Yield what becomes of a file's pieces, the same whatever the number of workers.

    From the first problem on the rest is only checked.

    Args:
        file: of any format.
        way: how to work on a piece.
        sha256: what the file's content has to be.
        workers: how many processes; as many as pay, if not given.

    Raises:
        DataError: any row is unusable; lists file:line, field, what was found and the fix.
        StorageError: the file cannot be read, or is being changed.
        OutOfMemoryError: the system killed a worker.
    """
    problems, rows = Problems(file), 0
    reading = file.read(PIECE_BYTES, lambda problem: problems.add([problem]))

    def requests() -> Iterator[bytes]:
        for piece in reading:
            yield way.request(piece, not problems.count)

    workers = worker_count(file) if workers is None else workers
    for reply in in_order(way.work, requests(), workers=workers):
        part = way.part(reply)
        problems.add(part.problems)
        rows += len(part.rows)
        if not problems.count:
            yield part
    if reading.sha256 != sha256:
        raise StorageError(
            f"{file}: changed while it was read", fix="run it again once nobody changes the file"
        )
    if not rows and not problems.count:
        problems.add([Problem(0, "the file has no rows", "write at least one")])
    problems.refuse()


def records_at(
    file: Source, lines: Iterable[int], *, form: str, columns: ColumnsConfig
) -> Iterator[Record]:
    """Yield the conversations on some lines of a file that was read before, in its order.

    Args:
        file: of any format.
        lines: their numbers, counted from 1.
        form: as in `read_records`.
        columns: likewise.
    """
    wanted = set(lines)
    for piece in file.read(PIECE_BYTES, lambda _: None) if wanted else ():
        for record in read_records(piece, form=form, columns=columns).rows:
            if record.line in wanted:
                yield record
