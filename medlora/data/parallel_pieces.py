"""A file worked on piece by piece, in processes; the replies in the order of the file."""

import struct
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from medlora.data.formats.joined_files import Source
from medlora.data.jsonl import Piece
from medlora.data.problems import Problem
from medlora.data.workers import Work, in_order
from medlora.errors import StorageError
from medlora.runtime.machine import usable_cpus

PIECE_BYTES = 1 << 18  # a fifth of a second of one core's work
_FEW_PIECES = 8  # so few are done before workers would have paid
_MOST_WORKERS = 16  # each needs some 40 MB of its own
_REQUEST = struct.Struct("<qq?")
R = TypeVar("R")


def to_request(piece: Piece, *, is_wanted: bool) -> bytes:
    """Return a piece as bytes for another process, and whether more than problems is wanted."""
    return _REQUEST.pack(piece.line, piece.offset, is_wanted) + piece.content


def from_request(request: bytes) -> tuple[Piece, bool]:
    """Return what `to_request` was given."""
    line, offset, is_wanted = _REQUEST.unpack_from(request)
    return Piece(line, request[_REQUEST.size :], offset), is_wanted


@dataclass(frozen=True, slots=True)
class PieceWork(Generic[R]):
    """How pieces are worked on: what takes a request, and what its reply says."""

    work: Work
    part: Callable[[Sequence[bytes]], R]
    piece_bytes: int = field(default_factory=lambda: PIECE_BYTES)
    few_pieces: int = _FEW_PIECES

    def workers(self, file: Source) -> int:
        """Return how many processes a file is worth: one for each CPU, none for a small file."""
        if file.size <= self.few_pieces * self.piece_bytes:
            return 0
        return min(usable_cpus(), _MOST_WORKERS)


def replies(
    file: Source,
    piece_work: PieceWork[R],
    report: Callable[[Problem], None],
    *,
    is_wanted: Callable[[], bool] = lambda: True,
    sha256: str | None = None,
    workers: int | None = None,
) -> Generator[R, None, None]:
    """Yield what is said of a file's pieces, in order, the same whatever the number of workers.

    Args:
        file: of any format.
        piece_work: how to work on a piece.
        report: takes what is wrong with the file itself.
        is_wanted: whether more than problems is wanted of the next piece.
        sha256: what the file's content has to be, if that is known.
        workers: how many processes; as many as pay, if not given.

    Raises:
        StorageError: the file cannot be read, or is being changed.
        OutOfMemoryError: the system killed a worker.
    """
    reading = file.read(piece_work.piece_bytes, report)
    requests = (to_request(piece, is_wanted=is_wanted()) for piece in reading)
    workers = piece_work.workers(file) if workers is None else workers
    for reply in in_order(piece_work.work, requests, workers=workers):
        yield piece_work.part(reply)
    if sha256 not in (None, reading.sha256):
        raise StorageError(
            f"{file}: changed while it was read", fix="run it again once nobody changes the file"
        )
