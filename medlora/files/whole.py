"""Whole or not at all: what is written under a temporary name gets its own at the very end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.files.disk import disk
from medlora.files.errors import storage_errors
from medlora.files.sweep import delete_quietly


@contextmanager
def named_at_the_end(
    path: Path, temporary: Path, name: Callable[[Path, Path], None]
) -> Iterator[None]:
    """Have the block write under a temporary name what is `path` behind it; or it is gone.

    Args:
        path: the name of what is written.
        temporary: its name until then, in the same folder.
        name: gives what has the first name the second.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with gone_on_failure(path, temporary):
        yield
        disk.sync(temporary)
        name(temporary, path)
        disk.sync(path.parent)


@contextmanager
def gone_on_failure(path: Path, temporary: Path) -> Iterator[None]:
    """Delete what has a temporary name where the block fails, whatever the failure.

    Raises:
        StorageError: about `path`, where the system is the reason.
    """
    with storage_errors(path):
        try:
            yield
        except BaseException:
            delete_quietly(temporary)
            raise


def share(path: Path, *, others: bool = True) -> None:
    """Give the group what the owner has; a file system without modes may refuse."""
    mode = path.stat().st_mode & 0o777
    shared = mode | (mode & 0o700) >> 3
    shared = shared if others else shared & 0o770
    if shared != mode:
        try:
            disk.chmod(path, shared)
        except PermissionError:
            return
