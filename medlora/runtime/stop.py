"""Requests to end, or to save, that arrive as signals.

Before training there is nothing to lose, so a signal ends the process at once.  While training,
it is only noted: an exception out of nowhere could leave an optimizer step half done.  Whoever
trains asks `requested` where time passes and ends cleanly.  A second signal ends at once; every
write is whole or not at all, so that does no harm either.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM


class Stop:
    """What signals asked for; one for each process, made before anything slow."""

    def __init__(self) -> None:
        self.requested: str | None = None  # the signal's name
        self._save = False
        self._gentle = False

    def listen(self) -> None:
        """Take over SIGTERM, SIGINT and SIGUSR1; process 1 of a container ignores them else."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGUSR1, self._note_save)

    @contextmanager
    def gently(self) -> Iterator[None]:
        """Only note signals within the block."""
        before, self._gentle = self._gentle, True
        try:
            yield
        finally:
            self._gentle = before

    def take_save_request(self) -> bool:
        """Tell whether a checkpoint was asked for since the last call."""
        asked, self._save = self._save, False
        return asked

    def _end(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._gentle and self.requested is None:
            self.requested = name
            return
        # Not an exception: a library could catch it, and there is nothing to clean up.
        sys.stdout.flush()
        os.write(2, f"stopped by {name}\n".encode())
        os._exit(EXIT_CODE)

    def _note_save(self, _number: int, _frame: FrameType | None) -> None:
        self._save = True
