"""One writer a run: a lock that the kernel releases when its holder dies."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.errors import RunInUseError
from medlora.files import storage_errors

NAME = ".lock"


def _open_to_group(descriptor: int) -> None:
    """Let the next run, with another uid of this group, take the lock; umask would forbid it."""
    if os.fstat(descriptor).st_uid == os.getuid():
        os.fchmod(descriptor, 0o660)


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
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
            raise RunInUseError(
                f"{folder}: another run is writing here ({holder})",
                fix="wait for it, stop it, or give this run another run_name",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"host {socket.gethostname()}, process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
