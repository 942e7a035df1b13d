"""Standard streams that cannot end a run: whoever read them may have left, or was never there.

A closed descriptor is opened on /dev/null, for else the next file that is opened, a checkpoint
perhaps, would get what is printed.  Our own lines go to a copy of standard error, so that what
compiled libraries print there can be kept out while they read somebody's rows.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_INPUT, _OUTPUT, _ERROR = range(3)
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # a pipe's reader, a terminal, the descriptor


def keep_streams() -> None:
    """Let this process print to its end, whether anybody reads it or not."""
    for descriptor in (_INPUT, _OUTPUT, _ERROR):
        try:
            os.fstat(descriptor)
        except OSError:  # the lowest one that is free is this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(_INPUT, encoding="utf-8", closefd=False)
    sys.stdout = _lasting(sys.stdout, sys.__stdout__, _OUTPUT)
    sys.stderr = _lasting(sys.stderr, sys.__stderr__, os.dup(_ERROR))


@contextmanager
def unheard() -> Iterator[None]:
    """Keep what compiled libraries print on standard error out, for the time of the block."""
    before = os.dup(_ERROR)
    try:
        _silence(_ERROR)
        yield
    finally:
        os.dup2(before, _ERROR)
        os.close(before)


def be_silent() -> None:
    """Have this process, a child whose parent speaks for it, print nothing on standard error."""
    _silence(_ERROR)
    sys.stderr = os.fdopen(_ERROR, "w", encoding="utf-8", closefd=False)


def _silence(descriptor: int) -> None:
    """Send what is written to a descriptor nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def tell_at_once(line: str) -> None:
    """Write a line to standard error, past all buffers, as a handler of signals has to."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # somebody put another one in its place
        descriptor = _ERROR
    with suppress(OSError):  # gone
        os.write(descriptor, f"{line}\n".encode())


def _lasting(stream: TextIO | None, own: TextIO | None, descriptor: int) -> TextIO:
    """Return a stream like the interpreter's own; one that somebody put in its place stays."""
    if stream is not None and (stream is not own or not isinstance(stream, io.TextIOWrapper)):
        return stream
    raw = _Lasting(descriptor)
    if not isinstance(stream, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", line_buffering=True)
    with suppress(OSError, ValueError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )


class _Lasting(io.RawIOBase):
    """A descriptor that takes all that is written; once nobody reads it, /dev/null does."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Tell that it is written to."""
        return True

    def write(self, content: Any, /) -> int:  # noqa: ANN401  (bytes, or a view of some)
        """Write all of it, waiting for a reader that is slow.

        Raises:
            OSError: where it goes is full.
        """
        view = memoryview(content).cast("B")
        done = 0
        while done < len(view):
            try:
                done += os.write(self._descriptor, view[done:])
            except BlockingIOError:  # somebody else has set the pipe so
                select.select([], [self._descriptor], [])
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                _silence(self._descriptor)
        return done
