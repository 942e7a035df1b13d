"""Files, written whole or not at all; logs, which grow line by line."""

import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.errors import MissingPartError, StorageError
from medlora.files.disk import disk
from medlora.files.errors import storage_errors
from medlora.files.sweep import TEMPORARY, rename
from medlora.files.whole import gone_on_failure, named_at_the_end, share


def read_named(path: Path, *, fix: str) -> bytes:
    """Return the content of a file that somebody named.

    Args:
        path: of the file.
        fix: what to name instead, where there is none.

    Raises:
        MissingPartError: there is no such file.
        StorageError: it cannot be read.
    """
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}", fix="make it readable") from error
    raise MissingPartError(f"{path}: no such file", fix=fix)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; the group may do what the owner may.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with _whole_file(path) as temporary:
        disk.create(temporary, content)
        share(temporary)


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Write a file of any size piece by piece; it gets its name at the end of the block, or never.

    Yields:
        What adds to the end of the file.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with _whole_file(path) as temporary:
        disk.create(temporary, b"")
        share(temporary)
        yield lambda content: disk.append(temporary, content)


@contextmanager
def received_file(path: Path) -> Iterator[Path]:
    """Have a library write a file; it gets its name at the end of the block, or never.

    Yields:
        The name to write to.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with _whole_file(path) as temporary:
        yield temporary
        share(temporary, others=False)


def write_new(path: Path, content: bytes) -> None:
    """Write a file unless there is one: of several writers, the first wins.

    Raises:
        StorageError: somebody was first, or the folder cannot be written.
    """
    with storage_errors(path):
        disk.create(path, content)


def append_line(path: Path, line: str) -> None:
    """Add a line to a log file in one system call.

    Raises:
        StorageError: the disk is full or the file cannot be written.
    """
    append_bytes(path, line.encode() + b"\n")


def append_bytes(path: Path, content: bytes) -> None:
    """Add to the end of a file in one system call.

    Raises:
        StorageError: the disk is full or the file cannot be written.
    """
    with storage_errors(path):
        disk.append(path, content)


def make_link(path: Path, target: str) -> bool:
    """Have a symbolic link lead to a target, in one step; a link or file of its name is replaced.

    Returns:
        Whether the file system has such links.

    Raises:
        StorageError: the folder cannot be written.
    """
    temporary = _temporary_name(path)
    try:
        disk.symlink(temporary, target)
    except OSError:  # each file system has its own number for it; a file will tell what is wrong
        return False
    with gone_on_failure(path, temporary):
        rename(temporary, path)
    return True


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name for a file; what has it is `path` behind the block, or gone."""
    temporary = _temporary_name(path)
    with named_at_the_end(path, temporary, disk.rename):
        _refuse_special(path)
        yield temporary


def _temporary_name(path: Path) -> Path:
    """Return a name beside a file's, which may be as long as a name can be."""
    return path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}")


def _refuse_special(path: Path) -> None:
    """Refuse a device or a pipe as a file's name: a rename would put the file in its place.

    Raises:
        StorageError: it is one.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise StorageError(f"{path}: is a device, a pipe or a socket", fix="name a file")
