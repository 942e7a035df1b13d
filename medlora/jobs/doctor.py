"""`medlora doctor`: where this is and what is here, with the source of each value."""

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medlora.errors import MedloraError
from medlora.escape import escaped
from medlora.runtime import (
    Environment,
    Fact,
    attempt,
    find_paths,
    find_scratch_dir,
    find_topology,
    grace,
    network_state,
    platform,
)
from medlora.runtime.driver import driver_version
from medlora.runtime.image import cuda_of_torch, oldest_driver
from medlora.runtime.machine import machine_memory, usable_cpus
from medlora.runtime.packages import package_version
from medlora.runtime.torch_import_memory import check_room
from medlora.storage.dry_run import describe_locations
from medlora.storage.location import is_location

_PACKAGES = ("medlora", "torch", "transformers", "peft", "accelerate", "bitsandbytes")
_PATHS = ("data", "model", "checkpoints", "output")
_GIB = 1 << 30
Row = tuple[str, str, str]


def as_json(environment: Environment) -> str:
    """Return the place as a JSON object: values, and the source of each under `sources`.

    Keys: platform, node_rank, num_nodes, workers_per_node, master_addr, master_port, paths (data,
    model, checkpoints, output), grace_s, sources ({dotted key: source}).

    Raises:
        ConfigError: the environment contradicts itself.
        MissingPartError: a part of it is missing.
    """
    facts, paths = _place(environment), find_paths(environment)
    value: dict[str, Any] = {name: fact.value for name, fact in facts.items()}
    sources = {name: fact.source for name, fact in facts.items()}
    value["paths"] = {name: paths[name].value for name in _PATHS}
    sources |= {f"paths.{name}": paths[name].source for name in _PATHS}
    return json.dumps({**value, "sources": sources}, indent=2) + "\n"


def as_text(environment: Environment) -> str:
    """Return the same for people, with versions, devices and folders.

    Raises:
        ConfigError: the environment contradicts itself.
        MissingPartError: a part of it is missing.
    """
    paths = find_paths(environment)
    number = attempt(environment)
    facts = [*_place(environment).items(), *((("attempt", number),) if number else ())]
    interface = find_topology(environment).network_interface
    facts += [("network_interface", interface)] if interface else []
    facts.append(("network", Fact(network_state(environment), "")))
    parts = {
        "place": [(name, str(fact.value), fact.source) for name, fact in facts],
        "paths": [(name, fact.value, fact.source) for name, fact in paths.items()],
        "object storage": describe_locations(environment, paths),
        "versions": [(name, package_version(name) or "not installed", "") for name in _PACKAGES],
        "devices": list(_devices(environment)),
        "folders": list(_folders(environment, paths)),
    }
    return "\n".join("".join(_table(name, rows)) for name, rows in parts.items() if rows)


def _place(environment: Environment) -> dict[str, Fact[Any]]:
    topology = find_topology(environment)
    return {
        "platform": platform(environment),
        "node_rank": topology.node_rank,
        "num_nodes": topology.num_nodes,
        "workers_per_node": topology.workers_per_node,
        "master_addr": topology.master_addr,
        "master_port": topology.master_port,
        "grace_s": grace(environment),
    }


def _table(name: str, rows: list[Row]) -> Iterator[str]:
    yield f"{name}\n"
    rows = [(escaped(row[0]), escaped(row[1]), escaped(row[2])) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for row in rows:
        yield f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() + "\n"


def _devices(environment: Environment) -> Iterator[Row]:
    """Yield CPUs, the driver and each GPU that torch can use; what keeps it from any is told."""
    cpus = usable_cpus()
    memory = machine_memory()
    yield "cpu", f"{cpus} usable", f"{memory / _GIB:.1f} GiB of memory"
    needed = oldest_driver(cuda_of_torch())
    yield "driver", driver_version(environment.root) or "none", f"{needed} or newer is needed"
    try:
        check_room()
    except MedloraError as error:  # torch cannot be imported here, which is what is asked
        yield "gpu", "not known", error.headline
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(count):
        properties = torch.cuda.get_device_properties(number)
        capability = f"capability {properties.major}.{properties.minor}"
        memory = properties.total_memory
        yield f"gpu {number}", properties.name, f"{memory / _GIB:.1f} GiB, {capability}"
    if not count:
        why = str(caught[0].message).splitlines()[0] if caught else ""
        yield "gpu", "none that torch can use", why
    yield "cuda", str(torch.version.cuda or "none"), "what torch was built for"


def _folders(environment: Environment, paths: dict[str, Fact[str]]) -> Iterator[Row]:
    """Yield what can be read, written and filled of each folder that a run may touch."""
    named = {environment.root / "dev/shm": "", environment.root / "tmp": ""}
    if any(is_location(path.value) for path in paths.values()):
        named[Path(find_scratch_dir(environment).value)] = "working directory"
    for name, path in paths.items():
        if is_location(path.value):
            continue
        named[Path(path.value)] = ", ".join(filter(None, (named.get(Path(path.value)), name)))
    for folder, use in named.items():
        yield str(folder), _state(folder, environment), use
    yield "writable mounts", " ".join(_writable_mounts(environment)) or "none", ""


def _writable_mounts(environment: Environment) -> list[str]:
    """Return the mounted folders that can be written, the kernel's own left out."""
    kernel = ("/proc", "/sys", "/dev")
    mounts = sorted(environment.mount_points)
    writable = (path for path in mounts if os.access(path, os.W_OK | os.X_OK) and path.is_dir())
    return [str(path) for path in writable if not str(path).startswith(kernel)]


def _state(folder: Path, environment: Environment) -> str:
    if not os.access(folder, os.F_OK):
        return "not there"
    usage = shutil.disk_usage(folder)
    mounted = folder in environment.mount_points
    return ", ".join(
        (
            "mounted" if mounted else "not mounted",
            "writable" if os.access(folder, os.W_OK | os.X_OK) else "not writable",
            f"{usage.free / _GIB:.2f} of {usage.total / _GIB:.2f} GiB free",
        )
    )
