"""A worker ends with its launcher, also one that is gone already."""

import os
import signal

import pytest

from medlora.runtime import Environment
from medlora.runtime.parent import LAUNCHER, end_with_the_launcher


@pytest.mark.parametrize(
    ("gone", "launched", "ends"),
    [(False, True, 0), (True, True, -signal.SIGTERM), (True, False, 0)],
)
def test_a_worker_whose_launcher_is_gone_already_ends(
    gone: bool, launched: bool, ends: int
) -> None:
    """The kernel tells only of parents that end later; without a launcher there is none to lose."""
    parent = os.getpid()
    process = os.fork()
    if process == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            variables = {LAUNCHER: str(parent + 1 if gone else parent)}
            variables |= {"TORCHELASTIC_USE_AGENT_STORE": "True"} if launched else {}
            end_with_the_launcher(Environment(variables, frozenset()))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == ends
