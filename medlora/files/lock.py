"""A folder's lock: a file in it that the kernel lets go of when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from medlora.files.errors import storage_errors

LOCK = ".lock"


class Lock:
    """The lock of a folder, open for whoever shares its group; held from `take` to `close`.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        with storage_errors(self._path):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660)
            if os.fstat(self._descriptor).st_uid == os.getuid():
                os.fchmod(self._descriptor, 0o660)  # umask would keep the group out

    def take(self, *, shared: bool = False) -> None:
        """Wait for the lock and hold it, alone or with others who share it."""
        with storage_errors(self._path):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)

    def take_if_free(self) -> bool:
        """Hold the lock alone unless somebody has it; return whether it is held."""
        with storage_errors(self._path):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def touch(self) -> None:
        """Date the lock's file now.

        Raises:
            PermissionError: it is another user's.
        """
        os.utime(self._descriptor)

    @property
    def note(self) -> str:
        """What a holder wrote about itself, "" where there is nothing."""
        return os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()

    def write_note(self, text: str) -> None:
        """Replace the note; hold the lock alone."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{text}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one who holds a folder's lock for the time of the block, once it is free.

    Raises:
        StorageError: the folder cannot be written.
    """
    with Lock(folder) as lock:
        lock.take()
        yield
