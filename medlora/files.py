"""The one module that writes: whole files and folders or none, and the digests that prove them.

Every change to the disk goes through `disk`, whose few methods are one system call each, so that
a test can fail, stop or record any single one of them.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medlora.errors import StorageError

_CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp-"  # a write that did not end: worth nothing
REPLACED = ".old-"  # what a write was about to replace: worth all until that has ended


class ForbiddenError(StorageError):
    """The system does not let this user do that, often because the thing is another user's."""


class TakenError(ForbiddenError):
    """The name is that of a folder which this user may not replace."""


class _Disk:
    """System calls that change a disk; the seam where tests inject faults."""

    def create(self, path: Path, content: bytes) -> None:
        """Make a new file with this content."""
        with path.open("xb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]

    def append(self, path: Path, content: bytes) -> None:
        """Add to the end of a file, making it if needed."""
        with path.open("ab", buffering=0) as file:
            view = memoryview(content)
            while view:  # a disk that runs full takes a part first, and refuses the rest
                view = view[file.write(view) :]

    def sync(self, path: Path) -> None:
        """Wait until a file's content, or a folder's list of names, is on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def mkdir(self, path: Path) -> None:
        """Make a folder."""
        path.mkdir()

    def chmod(self, path: Path, mode: int) -> None:
        """Set a file's rights."""
        path.chmod(mode)

    def symlink(self, path: Path, target: str) -> None:
        """Make a symbolic link."""
        path.symlink_to(target)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Delete a file."""
        path.unlink(missing_ok=True)

    def rmdir(self, path: Path) -> None:
        """Delete an empty folder."""
        path.rmdir()


disk = _Disk()


def sha256_file(path: Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits.

    Raises:
        StorageError: the file cannot be read.
    """
    digest: str = _digest_of(path).hexdigest()
    return digest


def _digest_of(path: Path) -> Any:  # noqa: ANN401  (hashlib's own type has no public name)
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_files(folder: Path) -> dict[str, str]:
    """Return {relative path: SHA-256} of every file below a folder, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def sha256_json(value: Any) -> str:  # noqa: ANN401  (any JSON value)
    """Return the SHA-256 of a JSON value in its canonical form: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_bytes(_utf8(text))


def json_bytes(value: Any) -> bytes:  # noqa: ANN401  (any JSON value)
    """Return a JSON value as we write it: indented, UTF-8, one newline at the end."""
    return _utf8(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_line(value: Any) -> bytes:  # noqa: ANN401  (any JSON value)
    """Return a JSON value as a line of JSON Lines."""
    return _utf8(json.dumps(value, ensure_ascii=False) + "\n")


def _utf8(text: str) -> bytes:
    """Return JSON as bytes; a byte of a file's name that is no UTF-8 is an escape of JSON's own."""
    return text.encode(errors="backslashreplace")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; the group may do what the owner may.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}")
    with storage_errors(path):
        _refuse_special(path)
        try:
            disk.create(temporary, content)
            _share(temporary)
            disk.sync(temporary)
            disk.rename(temporary, path)
            disk.sync(path.parent)
        except BaseException:
            _remove_quietly(temporary)
            raise


def make_link(path: Path, target: str) -> bool:
    """Have a symbolic link lead to a target, in one step; a link or file of its name is replaced.

    Returns:
        Whether the file system has such links.

    Raises:
        StorageError: the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}")
    try:
        disk.symlink(temporary, target)
    except OSError:  # each file system has its own number for it; a file will tell what is wrong
        return False
    try:
        rename(temporary, path)
    except BaseException:
        _remove_quietly(temporary)
        raise
    return True


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
                _share(folder, others=not (private and folder == path))
                disk.sync(folder.parent)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ForbiddenError(
            f"{path}: uid {os.getuid()} may not read and write it, {owner_of(path)}", fix=_WRITABLE
        )


def owner_of(path: Path) -> str:
    """Say whose a file or folder is: `it belongs to uid 1000`."""
    with storage_errors(path):
        return f"it belongs to uid {path.stat().st_uid}"


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
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    with storage_errors(path):
        try:
            disk.mkdir(temporary)
            for name, content in files.items():
                disk.create(temporary / name, content)
                _share(temporary / name)
                disk.sync(temporary / name)
            _share(temporary)
            disk.sync(temporary)
            old = _step_aside(path)
            disk.rename(temporary, path)
            disk.sync(path.parent)
        except BaseException:
            _remove_quietly(temporary)
            raise
    if old:
        with suppress(ForbiddenError):  # it has a temporary name; the next sweep says whose it is
            remove(old)


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Write a file of any size piece by piece; it gets its name at the end of the block, or never.

    Yields:
        What adds to the end of the file.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with _named_at_the_end(path) as temporary:
        disk.create(temporary, b"")
        _share(temporary)
        yield lambda content: disk.append(temporary, content)


@contextmanager
def received_file(path: Path) -> Iterator[Path]:
    """Have a library write a file; it gets its name at the end of the block, or never.

    Yields:
        The name to write to.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with _named_at_the_end(path) as temporary:
        yield temporary
        _share(temporary, others=False)


@contextmanager
def _named_at_the_end(path: Path) -> Iterator[Path]:
    """Yield a temporary name for a file; what has it is `path` behind the block, or gone."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}")
    with storage_errors(path):
        _refuse_special(path)
        try:
            yield temporary
            disk.sync(temporary)
            disk.rename(temporary, path)
            disk.sync(path.parent)
        except BaseException:
            _remove_quietly(temporary)
            raise


@contextmanager
def received_folder(path: Path) -> Iterator[Path]:
    """Have a library fill a folder; it gets its name at the end of the block, whole, or never.

    One that has the name by then is replaced.

    Yields:
        The folder to write to.

    Raises:
        StorageError: the disk is full or the parent cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    with storage_errors(path):
        try:
            disk.mkdir(temporary)
            _share(temporary)
            yield temporary
            for file in sorted(temporary.iterdir()):
                _share(file)
                disk.sync(file)
            disk.sync(temporary)
            old = _step_aside(path)
            disk.rename(temporary, path)
            disk.sync(path.parent)
        except BaseException:
            _remove_quietly(temporary)
            raise
    if old:
        remove(old)


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
                _share(parent)
            disk.create(self.path / name, b"")
            _share(self.path / name)
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
        with _library_errors(self.path):
            write(self.path)
        for file in sorted(self.path.iterdir()):
            if file.is_file() and file.name not in self._digests:
                # Some libraries make files for their owner alone, whatever the umask says.
                disk.chmod(file, self.path.stat().st_mode & 0o666)
                self._digests[file.name] = _digest_of(file)

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
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    with storage_errors(path):
        try:
            disk.mkdir(temporary)
            _share(temporary)
            folder = NewFolder(temporary)
            yield folder
            folder.sync()
            disk.sync(temporary)
            _rename_unless_taken(temporary, path)
            disk.sync(path.parent)
        except BaseException:
            _remove_quietly(temporary)
            raise


def remove(path: Path) -> None:
    """Delete a file or a folder with all that is in it, the names first.

    A folder gets a temporary name before its content goes, so that no half of it can be taken
    for the whole.

    Raises:
        ForbiddenError: it is not this user's to delete; it keeps the temporary name if it got one.
        StorageError: it cannot be deleted.
    """
    with storage_errors(path):
        if path.is_dir() and not path.name.startswith(TEMPORARY):
            doomed = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
            disk.rename(path, doomed)
            disk.sync(path.parent)
            path = doomed
        _remove(path)


def rename(old: Path, new: Path) -> None:
    """Give a folder another name, for good.

    Raises:
        ForbiddenError: it is not this user's to rename.
        StorageError: it cannot be renamed.
    """
    with storage_errors(old):
        disk.rename(old, new)
        disk.sync(new.parent)


def sweep(folder: Path) -> list[str]:
    """Undo what an interrupted write left in a folder; only the run's owner may call it.

    Half-written things go; a folder that was about to be replaced gets its name back unless the
    replacement is there.

    Returns:
        A line for each thing that stays, for another user's it is.

    Raises:
        StorageError: the folder cannot be written.
    """
    kept = []
    for item in [*sorted(folder.glob(f"{REPLACED}*")), *sorted(folder.glob(f"{TEMPORARY}*"))]:
        try:
            _undo(item)
        except ForbiddenError as error:
            kept.append(error.headline)
    return kept


def _undo(item: Path) -> None:
    name = item.with_name(item.name.removeprefix(REPLACED).rpartition("-")[0])
    if item.name.startswith(REPLACED) and not os.path.lexists(name):
        rename(item, name)
    else:
        remove(item)


_WRITABLE = "run as its owner or with gid 0 (--user UID:0), or let its group read and write it"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about a path into one clear StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:  # no matter of a disk
            raise
        where = error.filename if isinstance(error.filename, str) else path
        problem = f"{where}: {error.strerror or error}"
        if isinstance(error, PermissionError):
            raise ForbiddenError(problem, fix=_WRITABLE) from error
        raise StorageError(problem, fix="free space or mend the mount") from error


@contextmanager
def _library_errors(path: Path) -> Iterator[None]:
    """Turn what safetensors says of a disk, which is no OSError, into a StorageError."""
    with storage_errors(path):
        try:
            yield
        except Exception as error:
            if type(error).__name__ != "SafetensorError":
                raise
            raise StorageError(
                f"{path}: {str(error).splitlines()[0]}", fix="free space or mend the mount"
            ) from error


def check_space(folder: Path, needed: int) -> None:
    """Refuse early what cannot fit; a quota that nobody reports still ends in ENOSPC.

    Raises:
        StorageError: too few bytes are free.
    """
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free",
            fix="free space, or lower training.save_total_limit",
        )


def _rename_unless_taken(temporary: Path, path: Path) -> None:
    """Give a new folder its name; the kernel decides who of several comes first."""
    try:
        disk.rename(temporary, path)
    except OSError as error:
        taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY)
        if not (taken and path.is_dir()):  # a network's file system says so of a free name too
            raise
        _remove(temporary)


def _step_aside(path: Path) -> Path | None:
    """Give an existing folder another name; a crash right after leaves it for `sweep`."""
    if not os.path.lexists(path):
        return None
    old = path.with_name(f"{REPLACED}{path.name}-{secrets.token_hex(4)}")
    try:
        disk.rename(path, old)
    except PermissionError as error:  # the parent can be written, or we would not be here
        raise TakenError(
            f"{path}: uid {os.getuid()} may not replace it, {owner_of(path)}",
            fix="delete it as that user, or give this run another run_name",
        ) from error
    return old


def _share(path: Path, *, others: bool = True) -> None:
    """Give the group what the owner has; a file system without modes may refuse."""
    mode = path.stat().st_mode & 0o777
    shared = mode | (mode & 0o700) >> 3
    shared = shared if others else shared & 0o770
    if shared != mode:
        try:
            disk.chmod(path, shared)
        except PermissionError:
            return


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():  # what a link leads to is somebody else's
        disk.unlink(path)
        return
    for item in sorted(path.iterdir()):
        _remove(item)
    disk.rmdir(path)


def _remove_quietly(path: Path) -> None:
    """Clean up after a failure; what cannot be deleted now is swept at the next start."""
    try:
        if os.path.lexists(path):
            _remove(path)
    except OSError:
        return
