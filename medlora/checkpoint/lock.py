"""One writer a run: a lock that the kernel releases when its holder dies."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medlora.errors import RunInUseError
from medlora.files import storage_errors

NAME = ".lock"
# A process that was killed holds its lock until the kernel has taken its memory apart, which on a
# busy machine outlasts the start of the next attempt.
_DYING_S = 2.0
_LOOK_S = 0.02


def _open_to_group(descriptor: int) -> None:
    """Let the next run, with another uid of this group, take the lock; umask would forbid it."""
    if os.fstat(descriptor).st_uid == os.getuid():
        os.fchmod(descriptor, 0o660)


def _taken(descriptor: int) -> bool:
    """Take the lock, waiting for a holder that is about to be gone; return whether it is ours."""
    until = time.monotonic() + _DYING_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a run's folder for the time of the block.

    Raises:
        RunInUseError: another run holds it; names its host and process.
        StorageError: the folder cannot be written.
    """
    path = folder / NAME
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
        _open_to_group(descriptor)
    try:
        if not _taken(descriptor):
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
            raise RunInUseError(
                f"{folder}: another run is writing here ({holder})",
                fix="wait for it, stop it, or give this run another run_name",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"host {socket.gethostname()}, process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
