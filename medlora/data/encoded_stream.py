"""A data file as a stream of blocks of tokens: in order, once, in parallel, in little memory."""

from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import closing
from typing import Protocol, TypeVar

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Record
from medlora.data.formats.joined_files import Source
from medlora.data.forms.read import read_records
from medlora.data.parallel_pieces import PIECE_BYTES, PieceWork, replies
from medlora.data.piece_encoder import Block, BlockMaker, from_reply
from medlora.data.problems import Problem, Problems


class Part(Protocol):
    """What became of a piece: its rows, and what was no row."""

    @property
    def rows(self) -> Sized:
        """One for each row."""

    @property
    def problems(self) -> list[Problem]:
        """Of the others."""


P = TypeVar("P", bound=Part)


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
    piece_work = PieceWork(maker, lambda reply: from_reply(reply, maker.ids))
    yield from parts_of(file, piece_work, sha256=sha256, workers=workers)


def parts_of(
    file: Source, piece_work: PieceWork[P], *, sha256: str, workers: int | None = None
) -> Generator[P, None, None]:
    """Yield what becomes of a file's pieces, the same whatever the number of workers.

    From the first problem on the rest is only checked.

    Args:
        file: of any format.
        piece_work: how to work on a piece.
        sha256: what the file's content has to be.
        workers: how many processes; as many as pay, if not given.

    Raises:
        DataError: any row is unusable; lists file:line, field, what was found and the fix.
        StorageError: the file cannot be read, or is being changed.
        OutOfMemoryError: the system killed a worker.
    """
    problems, rows = Problems(file), 0
    parts = replies(
        file,
        piece_work,
        lambda problem: problems.add([problem]),
        is_wanted=lambda: not problems.count,
        sha256=sha256,
        workers=workers,
    )
    with closing(parts):
        for part in parts:
            problems.add(part.problems)
            rows += len(part.rows)
            if not problems.count:
                yield part
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
