"""How much memory the container, its control group or a limit of addresses leaves to a process."""

import resource
from collections.abc import Iterator
from pathlib import Path

_GIB = 1 << 30
_ULIMITS = ((resource.RLIMIT_AS, "-v", "address space"), (resource.RLIMIT_DATA, "-d", "data"))
_NO_LIMIT = 1 << 60  # the first version states "none" as a number about this large


def describe_limits() -> str:
    """Return the limits that hold here in words, "" where there is none."""
    container, limits = container_limit(), []
    for resource_, flag, of in _ULIMITS:
        limit, _ = resource.getrlimit(resource_)
        if limit != resource.RLIM_INFINITY:
            limits.append(f"ulimit {flag} leaves this process {limit / _GIB:.1f} GiB of {of}")
    if container is not None:
        limits.append(f"the container has {container / _GIB:.1f} GiB")
    return ", and ".join(limits)


def address_limit() -> int | None:
    """Return how many bytes of addresses this process may have, None for as many as it likes."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def container_limit(root: Path = Path("/")) -> int | None:
    """Return the least limit of this process's control group and those above it; None for none.

    Source: cgroups(7); the first version's memory.limit_in_bytes, the second's memory.max.
    """
    limits = [limit for file in _files(root) if (limit := _number(file)) is not None]
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def _files(root: Path) -> Iterator[Path]:
    """Yield the files that may state a limit.

    Within a container its group may be stated as the host knows it, and be mounted as the top.
    """
    mounted = root / "sys/fs/cgroup"
    try:
        rows = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        rows = []
    yield mounted / "memory.max"
    yield mounted / "memory/memory.limit_in_bytes"
    for row in rows:
        _, _, rest = row.partition(":")
        controllers, _, group = rest.partition(":")
        inner = [Path(group.lstrip("/")), *Path(group.lstrip("/")).parents]
        for folder in inner if ".." not in group else []:
            if not controllers:
                yield mounted / folder / "memory.max"
            elif "memory" in controllers.split(","):
                yield mounted / "memory" / folder / "memory.limit_in_bytes"


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such group, or `max`
        return None
