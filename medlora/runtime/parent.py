"""A worker does not outlive the launcher that started it."""

import ctypes
import os
import signal

from medlora.runtime.environment import Environment
from medlora.runtime.stop import LAUNCHER
from medlora.runtime.topology import is_launched

_PDEATHSIG = 1


def end_with_the_launcher(environment: Environment) -> None:
    """Have the kernel send SIGTERM when the launcher is gone, and nobody would end this worker.

    To be called before anything slow: a launcher that is killed must not leave workers that load
    a model.  Nothing happens where no launcher started this process.
    Source: prctl(2), PR_SET_PDEATHSIG; it says nothing of a parent that was gone before.
    """
    if not is_launched(environment):
        return
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)
    if environment.variables.get(LAUNCHER) not in (None, str(os.getppid())):
        signal.raise_signal(signal.SIGTERM)
