"""Requests to end, or to save, that arrive as signals.

Before training there is nothing to lose, so a signal ends the process at once.  While training,
it is only noted: an exception out of nowhere could leave an optimizer step half done.  Whoever
trains asks `requested` where time passes and ends cleanly.  A second signal ends at once; every
write is whole or not at all, so that does no harm either.  SIGHUP, a terminal that is gone, comes
from the kernel and from the shell, so a second one of those is no second request; under nohup,
where it is ignored, it stays so.  Whoever signals all processes of a run, as Slurm does, has its
workers hear it twice, from them and from their launcher: to a worker, two in a moment are one.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from medlora.runtime.streams import tell_at_once

EXIT_CODE = 128 + signal.SIGTERM
LAUNCHER = "_MEDLORA_LAUNCHER"  # the variable that tells a worker its launcher's process id
MOMENT_S = 1.0
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def is_ignored(number: signal.Signals) -> bool:
    """Tell whether whoever started this process wants it to outlive its terminal, as nohup does."""
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


class Stop:
    """What signals asked for; one for each process, made before anything slow."""

    def __init__(self) -> None:
        self.requested: str | None = None  # the signal's name
        self._since = 0.0  # of time.monotonic()
        self._save = False
        self._gentle = False

    def listen(self) -> None:
        """Take over what ends a process; process 1 of a container ignores it else."""
        for number in _ENDING:
            if not is_ignored(number):
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
            self.requested, self._since = name, time.monotonic()
            return
        if self._gentle and (number == signal.SIGHUP or self._is_echo()):
            return
        # Not an exception: a library could catch it, and there is nothing to clean up.
        with suppress(AttributeError, OSError, RuntimeError, ValueError):  # in the midst of a line
            sys.stdout.flush()
        tell_at_once(f"stopped by {name}")
        os._exit(EXIT_CODE)

    def _is_echo(self) -> bool:
        """Tell whether a worker's launcher is likely to have sent what was heard already."""
        return LAUNCHER in os.environ and time.monotonic() - self._since < MOMENT_S

    def _note_save(self, _number: int, _frame: FrameType | None) -> None:
        self._save = True
