"""The one module that writes: atomic files and folders, and the digests that prove them."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medlora.errors import StorageError

_CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp-"


def sha256_file(path: Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits.

    Raises:
        StorageError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_files(folder: Path) -> dict[str, str]:
    """Return {relative path: SHA-256} of every file below a folder, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def sha256_json(value: Any) -> str:  # noqa: ANN401  (any JSON value)
    """Return the SHA-256 of a JSON value in its canonical form: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  (any JSON value)
    """Write a JSON file whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; group-writable, so that any uid of the group can clean up.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}")
    try:
        with storage_errors(path):
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _share(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line to a log file; a reader never sees half of it."""
    with storage_errors(path), path.open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


def make_folder(path: Path) -> None:
    """Make a folder and its parents, group-writable.

    Raises:
        StorageError: it cannot be made or written.
    """
    with storage_errors(path):
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                _share(folder)
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(f"{path}: not writable by uid {os.getuid()}", fix=_WRITABLE)


def replace_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make or replace a folder in one step: `fill` writes a temporary one beside it.

    Every file is on the disk before the folder gets its name, so that a folder under its
    final name is always whole.

    Raises:
        StorageError: the disk is full or the parent cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    try:
        with storage_errors(path):
            temporary.mkdir()
            fill(temporary)
            for item in sorted(temporary.rglob("*")):
                _share(item)
                _sync(item)
            _share(temporary)
            _sync(temporary)
            if path.exists():
                old = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
                path.rename(old)
                temporary.rename(path)
                shutil.rmtree(old)
            else:
                temporary.rename(path)
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete what an interrupted write left in a folder; only the run's owner may call it."""
    for item in folder.glob(f"{TEMPORARY}*"):
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)


_WRITABLE = "mount a writable folder and run as its owner or with gid 0 (--user UID:0)"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about a path into one clear StorageError."""
    try:
        yield
    except OSError as error:
        fix = _WRITABLE if isinstance(error, PermissionError) else "free space or mend the mount"
        where = error.filename if isinstance(error.filename, str) else path
        raise StorageError(f"{where}: {error.strerror or error}", fix=fix) from error


def _share(path: Path) -> None:
    """Give the group what the owner has; a file system without modes may refuse."""
    mode = path.stat().st_mode & 0o777
    try:
        path.chmod(mode | (mode & 0o700) >> 3)
    except PermissionError:
        return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder = _sync
