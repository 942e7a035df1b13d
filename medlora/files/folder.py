"""Folders, written whole or not at all: at once, by a library, or piece by piece."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medlora.files.digest import digest_of
from medlora.files.disk import disk
from medlora.files.errors import (
    ForbiddenError,
    TakenError,
    check_access,
    check_space,
    library_errors,
    owner_of,
    storage_errors,
)
from medlora.files.sweep import REPLACED, TEMPORARY, delete, name_beside, remove
from medlora.files.whole import named_at_the_end, share


def make_folder(path: Path, *, private: bool = False) -> None:
    """Make a folder and its parents; the group may do what the owner may.

    Args:
        path: the folder; it may be there.
        private: if it is made, then for owner and group alone.

    Raises:
        StorageError: it cannot be made or written.
    """
    with storage_errors(path):
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                disk.mkdir(folder)
                share(folder, others=not (private and folder == path))
                disk.sync(folder.parent)
    check_access(path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make or replace a folder with these files; it appears whole or stays as it was.

    The files are written in order, the last being the one that vouches for the others, and
    each is on the disk before the folder gets its name.

    Args:
        path: the folder's name.
        files: {file name: content}.

    Raises:
        TakenError: the folder is there and may not be replaced.
        StorageError: too little space, or the parent cannot be written.
    """
    check_space(path.parent, sum(map(len, files.values())))
    with received_folder(path) as temporary:
        for name, content in files.items():
            disk.create(temporary / name, content)


@contextmanager
def received_folder(path: Path) -> Iterator[Path]:
    """Have a library fill a folder; it gets its name at the end of the block, whole, or never.

    One that has the name by then is replaced.

    Yields:
        The folder to write to.

    Raises:
        TakenError: the folder is there and may not be replaced.
        StorageError: the disk is full or the parent cannot be written.
    """
    temporary, old = name_beside(path, TEMPORARY), name_beside(path, REPLACED)

    def replace(new: Path, name: Path) -> None:
        if os.path.lexists(name):
            _step_aside(name, old)
        disk.rename(new, name)

    with named_at_the_end(path, temporary, replace):
        disk.mkdir(temporary)
        share(temporary)
        yield temporary
        for file in sorted(temporary.iterdir()):
            share(file)
            disk.sync(file)
    if os.path.lexists(old):
        with suppress(ForbiddenError):  # it has a temporary name; the next sweep says whose it is
            remove(old)


def _step_aside(path: Path, old: Path) -> None:
    """Give an existing folder another name; a crash right after leaves it for `sweep`."""
    try:
        disk.rename(path, old)
    except PermissionError as error:  # the parent can be written, or we would not be here
        raise TakenError(
            f"{path}: uid {os.getuid()} may not replace it, {owner_of(path)}",
            fix="delete it as that user, or give this run another run_name",
        ) from error


class NewFolder:
    """A folder that grows piece by piece under a temporary name; `new_folder` makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: dict[str, Any] = {}

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file, making it if needed."""
        if name not in self._digests:
            parent = (self.path / name).parent
            if not parent.is_dir():
                disk.mkdir(parent)
                share(parent)
            disk.create(self.path / name, b"")
            share(self.path / name)
            self._digests[name] = hashlib.sha256()
        disk.append(self.path / name, content)
        self._digests[name].update(content)

    def fill(self, write: Callable[[Path], None]) -> None:
        """Have a library write files that are too large to be held in memory.

        Args:
            write: gets the folder; what it leaves there counts as written here.

        Raises:
            StorageError: it could not.
        """
        with library_errors(self.path):
            write(self.path)
        for file in sorted(self.path.iterdir()):
            if file.is_file() and file.name not in self._digests:
                # Some libraries make files for their owner alone, whatever the umask says.
                disk.chmod(file, self.path.stat().st_mode & 0o666)
                self._digests[file.name] = digest_of(file)

    def sync(self) -> dict[str, str]:
        """Wait until all files are on the disk; return {name: SHA-256 of what was written}."""
        for name in self._digests:
            disk.sync(self.path / name)
        for parent in {(self.path / name).parent for name in self._digests} - {self.path}:
            disk.sync(parent)
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


@contextmanager
def new_folder(path: Path) -> Iterator[NewFolder]:
    """Make a folder of any size; it gets its name at the end of the block, whole, or never.

    One that has the name by then stays: whoever comes second is to use the first's.

    Raises:
        StorageError: the disk is full or the parent cannot be written.
    """
    temporary = name_beside(path, TEMPORARY)
    with named_at_the_end(path, temporary, _rename_unless_taken):
        disk.mkdir(temporary)
        share(temporary)
        folder = NewFolder(temporary)
        yield folder
        folder.sync()


def _rename_unless_taken(temporary: Path, path: Path) -> None:
    """Give a new folder its name; the kernel decides who of several comes first."""
    try:
        disk.rename(temporary, path)
    except OSError as error:
        taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY)
        if not (taken and path.is_dir()):  # a network's file system says so of a free name too
            raise
        delete(temporary)
