"""A data file as a stream of blocks of tokens: in order, once, in parallel, in little memory."""

import hashlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from medlora.config import ColumnsConfig
from medlora.data.blocks import Block, BlockMaker, from_reply, to_request
from medlora.data.jsonl import read_pieces, wrong_file
from medlora.data.problems import Problem, Problems
from medlora.data.records import Record, read_records
from medlora.data.workers import in_order, usable_cpus
from medlora.errors import StorageError

PIECE_BYTES = 1 << 18  # a fifth of a second of one core's work
_FEW_PIECES = 8  # so few are done before workers would have paid
_MOST_WORKERS = 16  # each needs some 40 MB of its own


def worker_count(file: Path) -> int:
    """Return how many processes a file is worth: one for each CPU, none for a small file."""
    if file.stat().st_size <= _FEW_PIECES * PIECE_BYTES:
        return 0
    return min(usable_cpus(), _MOST_WORKERS)


def token_blocks(
    file: Path, maker: BlockMaker, *, sha256: str, workers: int | None = None
) -> Generator[Block, None, None]:
    """Yield the blocks of a file, the same whatever the number of workers.

    From the first problem on nothing is encoded any more, the rest is only checked.

    Args:
        file: JSON Lines.
        maker: what makes a block of a piece.
        sha256: what the file's content has to be.
        workers: how many processes; as many as pay, if not given.

    Raises:
        DataError: any row is unusable; lists file:line, field, what was found and the fix.
        StorageError: the file cannot be read, or is being changed.
        OutOfMemoryError: the system killed a worker.
    """
    problems, rows = Problems(file), 0
    wrong = wrong_file(file)
    problems.add([wrong] if wrong else [])
    problems.refuse()
    digest = hashlib.sha256()

    def requests() -> Iterator[bytes]:
        for piece in read_pieces(file, PIECE_BYTES):
            digest.update(piece.content)
            yield to_request(piece, encode=not problems.count)

    workers = worker_count(file) if workers is None else workers
    for reply in in_order(maker, requests(), workers=workers):
        block = from_reply(reply, maker.ids)
        problems.add(block.problems)
        rows += len(block.rows)
        if not problems.count:
            yield block
    if digest.hexdigest() != sha256:
        raise StorageError(f"{file}: changes while it is read", fix="start again once it rests")
    if not rows and not problems.count:
        problems.add([Problem(0, "the file has no rows", "write one JSON object a line")])
    problems.refuse()


def records_at(
    file: Path, lines: Iterable[int], *, form: str, columns: ColumnsConfig
) -> Iterator[Record]:
    """Yield the conversations on some lines of a file that was read before, in its order.

    Args:
        file: JSON Lines.
        lines: their numbers, counted from 1.
        form: as in `read_records`.
        columns: likewise.
    """
    wanted = set(lines)
    for piece in read_pieces(file, PIECE_BYTES) if wanted else ():
        for record in read_records(piece, form=form, columns=columns).rows:
            if record.line in wanted:
                yield record
