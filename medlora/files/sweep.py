"""What is renamed and deleted, and what an interrupted write left behind, undone."""

import os
import secrets
from pathlib import Path

from medlora.files.disk import disk
from medlora.files.errors import ForbiddenError, storage_errors

TEMPORARY = ".tmp-"  # a write that did not end: worth nothing
REPLACED = ".old-"  # what a write was about to replace: worth all until that has ended


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
            doomed = name_beside(path, TEMPORARY)
            disk.rename(path, doomed)
            disk.sync(path.parent)
            path = doomed
        delete(path)


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


def name_beside(folder: Path, prefix: str) -> Path:
    """Return a name that nothing has, from which `sweep` can tell the folder's own."""
    return folder.with_name(f"{prefix}{folder.name}-{secrets.token_hex(4)}")


def delete_quietly(path: Path) -> None:
    """Clean up after a failure; what cannot be deleted now is swept at the next start."""
    try:
        if os.path.lexists(path):
            delete(path)
    except OSError:
        return


def delete(path: Path) -> None:
    """Delete what has a temporary name; a folder's content goes first.

    Raises:
        OSError: it cannot be deleted.
    """
    if path.is_symlink() or not path.is_dir():  # what a link leads to is somebody else's
        disk.unlink(path)
        return
    for item in sorted(path.iterdir()):
        delete(item)
    disk.rmdir(path)
