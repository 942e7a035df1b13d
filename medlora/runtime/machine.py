"""What the machine has, whoever uses it."""

import os


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    return len(os.sched_getaffinity(0))


def machine_memory() -> int:
    """Return the bytes of the machine's memory."""
    import psutil

    return int(psutil.virtual_memory().total)
