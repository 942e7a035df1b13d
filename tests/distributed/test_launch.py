"""Which of several workers' ends is the cause, and which are its results."""

import signal

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from medlora.distributed.launch import first_cause

KILLED = -signal.SIGKILL


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([(143, 100), (143, 100)], 143),
        ([(143, 100), (KILLED, 100)], 137),  # from outside: memory ran out, and the other was told
        ([(KILLED, 100), (143, 101)], 137),
        ([(143, 100), (KILLED, 108)], 143),  # by the launcher: it did not end in time
        ([(143, 100), (KILLED, 107)], 143),
        ([(74, 100), (KILLED, 108)], 74),
        ([(143, 100), (74, 101)], 74),
        ([(KILLED, 100), (KILLED, 108)], 137),
    ],
)
def test_what_the_launcher_killed_is_not_the_cause(ends: list[tuple[int, int]], code: int) -> None:
    """A worker that is slow to end after a signal leaves the code of the stop, not of a kill."""
    failures = {
        rank: ProcessFailure(local_rank=rank, pid=0, exitcode=exitcode, error_file="")
        for rank, (exitcode, _) in enumerate(ends)
    }
    for rank, (_, timestamp) in enumerate(ends):
        failures[rank].timestamp = timestamp
    assert first_cause(failures, patience_s=8)[0] == code
