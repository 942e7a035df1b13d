"""How long one thing in a data file may be: whatever a file holds, reading it takes little memory.

A row becomes text, tokens and numbers, each several times its size; one that is longer than this
is no row of a data set, but a file without line ends, a quotation mark left open, or a bomb.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from medlora.data.problems import Problem, StopReadingError

LONGEST = 1 << 24  # bytes of a line or of an item of a list, characters of a cell
LONGEST_ROW = 1 << 25  # characters of all cells of a row
# A compressed file may give so many bytes, and beyond that so many times its own size: what is
# said again and again shrinks to a hundredth at most.
EXPANDS_TO, EXPANDS_BY = 1 << 30, 256
AT_ONCE = 1 << 27  # bytes of a file that is read as a whole: prompts, a suite
_SHORTEN = "a row is a question and its answer: split it, or delete it"


def most_of_archive(size: int) -> int:
    """Return how many bytes a compressed file of a size may hold."""
    return max(EXPANDS_TO, EXPANDS_BY * size)


def refuse_bomb(given: int, *, most: int) -> None:
    """Raise if a compressed file gave more bytes than it may hold.

    Raises:
        StopReadingError: it did.
    """
    if given > most:
        fault = f"the archive expands to more than {most:,} bytes, too many for its size"
        raise StopReadingError(
            Problem(0, fault, "if this size is expected, decompress the file first")
        )


def too_large(file: Path) -> Problem | None:
    """Return what is wrong with a file that is read as a whole and is too large for it."""
    size = file.stat().st_size
    if size <= AT_ONCE:
        return None
    return Problem(0, f"{size:,} bytes; the limit is {AT_ONCE:,}", "split it into several files")


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream.

    Raises:
        StopReadingError: a line is too long.
    """
    number = 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        refuse_long(line, number)
        yield line


def refuse_long(line: bytes, number: int, *, of_row: bool = False) -> None:
    """Raise if a line, or an item of a list, is too long.

    Raises:
        StopReadingError: it is.
    """
    if len(line) > LONGEST:
        fault = f"more than {LONGEST:,} bytes, the most that is read as one row"
        raise StopReadingError(Problem(number, fault, _SHORTEN), of_row=of_row)
