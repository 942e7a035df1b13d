"""One writer a run: a lock that the kernel releases when its holder dies."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.errors import RunInUseError
from medlora.files import Lock

# A process that was killed holds its lock until the kernel has taken its memory apart, which on a
# busy machine outlasts the start of the next attempt.
DYING_S = 2.0
_LOOK_S = 0.02


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a run's folder for the time of the block.

    Raises:
        RunInUseError: another run holds it; names its host and process.
        StorageError: the folder cannot be written.
    """
    with Lock(folder) as lock:
        if not _take(lock):
            raise RunInUseError(
                f"{folder}: another run is writing here ({lock.note or 'unknown'})",
                fix="wait for it, stop it, or give this run another run_name",
            )
        lock.write_note(f"host {socket.gethostname()}, process {os.getpid()}")
        yield


def _take(lock: Lock) -> bool:
    """Take the lock, waiting for a holder that is about to be gone; return whether it is ours."""
    until = time.monotonic() + DYING_S
    while not lock.take_if_free():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)
    return True
