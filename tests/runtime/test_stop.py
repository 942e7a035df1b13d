"""What a second signal does, in a process that is really signalled."""

import os
import signal

import pytest

from medlora.runtime import stop
from medlora.runtime.stop import EXIT_CODE, LAUNCHER, Stop


def end_of_one_signalled_twice(second: signal.Signals = signal.SIGTERM) -> int:
    """Return the exit code of a process that hears SIGTERM, then another; 0 where it went on."""
    process = os.fork()
    if not process:
        code = 70
        try:
            asked = Stop()
            asked.listen()
            with asked.gently():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(second)
                code = 0 if asked.requested == "SIGTERM" else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_second_one_ends_at_once() -> None:
    """Somebody is in a hurry; a terminal that closes is not."""
    assert end_of_one_signalled_twice() == EXIT_CODE
    assert end_of_one_signalled_twice(signal.SIGHUP) == 0


def test_a_worker_hears_what_all_are_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its launcher hands on what it has heard itself; a moment later it is another one."""
    monkeypatch.setenv(LAUNCHER, "1")
    assert end_of_one_signalled_twice() == 0
    monkeypatch.setattr(stop, "MOMENT_S", 0.0)
    assert end_of_one_signalled_twice() == EXIT_CODE
