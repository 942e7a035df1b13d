"""What the system says of a path, as one clear error."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.errors import StorageError, reason_of

_WRITABLE = "run as its owner or with gid 0 (--user UID:0), or let its group read and write it"


class ForbiddenError(StorageError):
    """The system does not let this user do that, often because the thing is another user's."""


class TakenError(ForbiddenError):
    """The name is that of a folder which this user may not replace."""


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
def library_errors(path: Path) -> Iterator[None]:
    """Turn what safetensors says of a disk, which is no OSError, into a StorageError."""
    with storage_errors(path):
        try:
            yield
        except Exception as error:
            if type(error).__name__ != "SafetensorError":
                raise
            raise StorageError(
                f"{path}: {reason_of(error)}", fix="free space or mend the mount"
            ) from error


def check_access(folder: Path) -> None:
    """Refuse a folder that this user may not read and write.

    Raises:
        ForbiddenError: says whose it is.
    """
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise ForbiddenError(
            f"{folder}: uid {os.getuid()} may not read and write it, {owner_of(folder)}",
            fix=_WRITABLE,
        )


def owner_of(path: Path) -> str:
    """Say whose a file or folder is: `it belongs to uid 1000`."""
    with storage_errors(path):
        return f"it belongs to uid {path.stat().st_uid}"


def check_space(
    folder: Path,
    needed: int,
    *,
    purpose: str = "",
    fix: str = "free space, or lower training.save_total_limit",
) -> None:
    """Refuse early what cannot fit; a quota that nobody reports still ends in ENOSPC.

    Args:
        folder: on the disk in question.
        needed: bytes.
        purpose: what they are for, where that is not plain.
        fix: what to do about it.

    Raises:
        StorageError: too few bytes are free.
    """
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        wanted = f"{needed:,} bytes are needed{f' for {purpose}' if purpose else ''}"
        raise StorageError(f"{folder}: {wanted}, but only {free:,} are free", fix=fix)
