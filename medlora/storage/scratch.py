"""The folder on this machine where what an object store holds is worked on."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.errors import StorageError
from medlora.files import locked, make_folder, storage_errors


def open_scratch(folder: Path, *, ours: bool) -> None:
    """Make the folder, for this user alone.

    Args:
        folder: where.
        ours: whether nobody named it: then its name can be guessed by others on this machine, and
            one that somebody else made is refused.

    Raises:
        StorageError: it cannot be written, or is somebody else's.
    """
    make_folder(folder, private=True)
    if not ours:
        return
    with storage_errors(folder):
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
            raise StorageError(
                f"{folder} does not belong to this user",
                fix="name another folder in MEDLORA_WORK, or mount one at /scratch",
            )
        folder.chmod(0o700)


@contextmanager
def one_at_a_time(place: Path) -> Iterator[None]:
    """Let the workers of a machine, started by somebody else, do something in turn."""
    make_folder(place, private=True)
    with locked(place):
        yield
