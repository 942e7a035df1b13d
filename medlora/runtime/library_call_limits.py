"""Limits for code of others: it may not end, and it may ask for consent on the terminal."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def no_input() -> Iterator[None]:
    """Close standard input to a block of Python: nobody can be asked, and nobody can say yes."""
    ours, sys.stdin = sys.stdin, None  # what Python has without one
    try:
        yield
    finally:
        sys.stdin = ours


class TooSlowError(Exception):
    """What had a limit of time has not ended within it."""


class _AlarmError(BaseException):
    """Raised by the alarm; no handler for exceptions in between can catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit the time of a block of Python; only a process's main thread can be interrupted.

    Raises:
        TooSlowError: it takes longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    began = time.monotonic()
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    if left:  # of a limit around this one, which goes on to hold
        signal.setitimer(signal.ITIMER_REAL, min(left, seconds))
    try:
        yield
    except _AlarmError:
        raise TooSlowError(f"does not finish within {seconds:.0f} s") from None
    finally:
        rest = max(left - (time.monotonic() - began), 1e-3) if left else 0
        signal.setitimer(signal.ITIMER_REAL, rest)
        signal.signal(signal.SIGALRM, before)


def _ring(*_: object) -> NoReturn:
    raise _AlarmError
