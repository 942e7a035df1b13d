"""A copy of this process."""

import os
import warnings


def fork() -> int:
    """Return the copy's process number, and in the copy 0.

    It must take no lock that another thread may hold, for the threads are not copied: of that
    Python 3.12 warns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
