"""What a run finds where it is: devices, folders that can be written, room for its checkpoints."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from medlora.errors import MedloraError, MissingPartError
from medlora.jobs.checks.schema import Devices, FolderAccess, Folders
from medlora.plan.device import device_type
from medlora.plan.disk import Disk, Place
from medlora.plan.quick_checks import can_write, folders, nearest, refuse_volatile, unwritable
from medlora.plan.resolve_run import Plan
from medlora.runtime import platform_named
from medlora.runtime.driver import driver_version
from medlora.runtime.machine import usable_cpus

_GIB = 1 << 30
_SHARED_GIB = 1  # of /dev/shm, for NCCL between the workers of one machine


def look_at_devices(plan: Plan, *, gpus_given: int) -> Place[Devices]:
    """Return what torch computes on here, and why not on a GPU that is there.

    Args:
        plan: of the run.
        gpus_given: how many GPUs the machine lets this process see.
    """
    facts: Devices = {
        "device": device_type(),
        "cpus": usable_cpus(),
        "driver": driver_version(plan.root),
        "torch_cuda": torch.version.cuda,
        "gpus": [],
    }
    warnings = []
    if device_type() == "cuda":
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            facts["gpus"].append({"name": properties.name, "memory_bytes": properties.total_memory})
    elif gpus_given or facts["driver"]:
        warnings.append(
            f"there is a GPU (driver {facts['driver'] or 'unknown'}) but torch cannot use it: "
            f"the run would use the CPU; torch is built for CUDA {facts['torch_cuda'] or 'none'}"
        )
    return Place(facts, [], warnings)


def look_at_folders(plan: Plan, *, workers: int) -> Place[Folders]:
    """Return which folders can be written, and how much shared memory there is."""
    access: dict[str, FolderAccess] = {
        name: {"writable": can_write(nearest(folder))} for name, folder in folders(plan).items()
    }
    errors, warnings = list[MedloraError](unwritable(plan)), list(cache_warnings(plan))
    try:
        refuse_volatile(plan)
    except MissingPartError as error:
        errors.append(error)
    shared = _shared_memory(plan.root / "dev/shm")
    if workers > 1 and shared < _SHARED_GIB * _GIB:
        warnings.append(
            f"shared memory (/dev/shm) has {shared / _GIB:.2f} GiB for {workers} workers: NCCL "
            f"may fail; start the container with --shm-size={_SHARED_GIB}g or --ipc=host"
        )
    return Place({"folders": access, "shared_memory_bytes": shared}, errors, warnings)


def cache_warnings(plan: Plan) -> Iterator[str]:
    """Yield a line where a service copies what is kept of the data to a bucket."""
    cfg = plan.resolved.config
    store = _copied_to(plan)
    if store and _is_copied(plan):
        yield (
            f"{cfg.training.output_dir} is copied to {store} by the service, and with it the "
            f"tokens, audits and scans of the data in {cfg.cache_dir}: set data.cache_dir to a "
            "folder elsewhere"
        )


def kept_lines(plan: Plan) -> Iterator[str]:
    """Yield where something of the data is kept, and what a service copies to a bucket."""
    cfg = plan.resolved.config
    yield (
        f"tokens, audits and scans are kept in {cfg.cache_dir}; they are as confidential as the "
        "data"
    )
    store = _copied_to(plan)
    if store:
        rows = (
            "and the tokens, audits and scans of the data"
            if _is_copied(plan)
            else "but nothing of its rows"
        )
        yield (
            f"the service copies {cfg.training.output_dir} to {store}: adapters, optimizer state, "
            f"metrics, counts of the data, {rows}"
        )


def _copied_to(plan: Plan) -> str | None:
    service = platform_named(plan.job.get("platform"))
    return service.copied_to if service else None


def _is_copied(plan: Plan) -> bool:
    cfg = plan.resolved.config
    cache, runs = (Path(path).resolve() for path in (cfg.cache_dir, cfg.training.output_dir))
    return cache.is_relative_to(runs)


def _shared_memory(folder: Path) -> int:
    return shutil.disk_usage(folder).free if folder.is_dir() else 0


def place_lines(devices: Devices, folders: Folders) -> Iterator[str]:
    """Yield devices and folders for people."""
    names = [f"{gpu['name']} ({gpu['memory_bytes'] / _GIB:.1f} GiB)" for gpu in devices["gpus"]]
    driver = f", driver {devices['driver']}" if devices["driver"] else ""
    yield f"devices: {', '.join(names) or 'no GPU'}, {devices['cpus']} CPUs{driver}"
    writable = (
        f"{name} {'yes' if access['writable'] else 'NO'}"
        for name, access in folders["folders"].items()
    )
    yield f"writable folders: {', '.join(writable)}"


def disk_line(disk: Disk) -> str:
    """Return the room for checkpoints, for people."""
    sizes = (disk["checkpoint_bytes"], disk["needed_bytes"], disk["free_bytes"])
    each, needed, free = (size / _GIB for size in sizes)
    return (
        f"disk: {disk['checkpoints_kept']} checkpoints of {each:.2f} GiB each and the result "
        f"need {needed:.1f} of {free:.1f} GiB free"
    )
