"""Whether there is room for torch to be imported, told before a library ends, or hangs, over it."""

import os
import tempfile

from medlora.errors import OutOfMemoryError, StorageError
from medlora.runtime.machine import usable_cpus
from medlora.runtime.memory import address_limit

_GIB = 1 << 30
# Addresses that torch and its libraries take before anything is computed (3.8 GB, measured with
# two CPUs), and for each CPU, whose thread has a stack and buffers.  With less, an import fails,
# or OpenBLAS asks for its buffer for ever.
_LEAST, _FOR_A_CPU = 4 * _GIB, _GIB // 10


def check_room() -> None:
    """Refuse a place that torch cannot be imported in.

    Raises:
        StorageError: neither TMPDIR nor /tmp can be written.
        OutOfMemoryError: the process may have too few addresses.
    """
    _check_temporary()
    limit, cpus = address_limit(), usable_cpus()
    least = _LEAST + cpus * _FOR_A_CPU
    if limit is not None and limit < least:
        raise OutOfMemoryError(
            f"ulimit -v leaves this process {limit / _GIB:.1f} GiB of address space, and "
            f"torch with its libraries needs {least / _GIB:.1f} GiB before anything is "
            "computed",
            fix="raise it (ulimit -v unlimited; the scheduler's limit of virtual memory); "
            "`medlora check` predicts how much physical memory a run needs",
        )


def _check_temporary() -> None:
    try:
        tempfile.gettempdir()  # writes a file in each candidate until one takes it
    except FileNotFoundError:
        named = os.environ.get("TMPDIR")
        places = f"{named} (TMPDIR) and /tmp" if named else "/tmp"  # noqa: S108  (named, not used)
        raise StorageError(
            f"{places} cannot be written by uid {os.getuid()}, or is full: no folder for temporary "
            "files",
            fix="start the container with --tmpfs /tmp:mode=1777 (Kubernetes: mount an emptyDir at "
            "/tmp), or set TMPDIR to a folder that this user may write",
        ) from None
