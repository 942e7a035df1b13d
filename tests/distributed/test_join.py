"""A worker does not outlive its launcher."""

import os
import signal

import pytest

from medlora.distributed import join


@pytest.mark.parametrize(("gone", "ends"), [(False, 0), (True, -signal.SIGTERM)])
def test_a_worker_whose_launcher_is_gone_already_ends(gone: bool, ends: int) -> None:
    """The kernel tells only of parents that end later."""
    parent = os.getpid()
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ[join.LAUNCHER] = str(parent + 1 if gone else parent)
        join._end_with_the_launcher()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == ends
