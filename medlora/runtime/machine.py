"""What the machine has."""

import os


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    return len(os.sched_getaffinity(0))


def machine_memory() -> int:
    """Return the bytes of the machine's memory, whoever uses them."""
    import psutil

    return int(psutil.virtual_memory().total)


def available_memory() -> int:
    """Return the bytes that a process could still have without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)
