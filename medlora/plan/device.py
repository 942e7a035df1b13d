"""Which device a run has, what that can do, and how much of it is in use."""

import gc
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from medlora.config import Machine, TrainingConfig
from medlora.model.autocast_dtype import HALVES
from medlora.runtime.machine import machine_memory
from medlora.runtime.memory import container_limit
from medlora.train.precision import Precision, choose_precision


def device_type() -> str:
    """Return `cuda` where a GPU can be used, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bf16() -> bool:
    """Tell whether the device computes in bfloat16; every CPU does, if slowly."""
    return device_type() == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def this_machine(*, workers: int = 1) -> Machine:
    """Return what a config is held against here."""
    return Machine(device_type(), bf16=has_bf16(), workers=workers)


@dataclass(frozen=True, slots=True)
class Device:
    """What a run computes on.

    Attributes:
        kind: `cuda` or `cpu`.
        memory: its bytes, whoever has them now: on a CPU those of the machine or its container.
        bf16: whether it computes in bfloat16.
        name: for people.
    """

    kind: str
    memory: int
    bf16: bool = True
    name: str = "CPU"


def this_device() -> Device:
    """Return the device that a run here would have."""
    if device_type() == "cuda":
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        return Device("cuda", properties.total_memory, bf16=has_bf16(), name=properties.name)
    machine = machine_memory()
    limit = container_limit()
    if limit is not None and limit < machine:
        return Device("cpu", limit, name="the container")
    return Device("cpu", machine)


def precision_of(cfg: TrainingConfig, device: Device) -> Precision:
    """Return accelerate's word for the mixed precision that a config means on a device."""
    return choose_precision(cfg, device=device.kind, bf16_supported=device.bf16)


def half_of(cfg: TrainingConfig, device: Device) -> torch.dtype | None:
    """Return the type that `model.dtype: auto` loads a base in: on a CPU None, for float32."""
    if device.kind == "cpu":
        return None
    half = HALVES.get(precision_of(cfg, device))
    # A run on a newer GPU may have asked for bfloat16 by name.
    return torch.float16 if half is torch.bfloat16 and not device.bf16 else half


def memory_in_use(device: torch.device) -> dict[str, int]:
    """Return bytes in use and at most so far: of the GPU, or of the process on a CPU."""
    now, most = _in_use(device)
    # A kernel keeps the peak by counters that lag behind those of the present.
    return {"memory_bytes": now, "memory_peak_bytes": max(now, most)}


def _in_use(device: torch.device) -> tuple[int, int]:
    if device.type == "cuda":
        now = torch.cuda.memory_allocated(device)
        return now, torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _status("VmRSS"), most


def begin_peak(device: torch.device) -> int:
    """Begin the peak anew; return the bytes that are in use now, of the process on a CPU.

    Source: proc(5), clear_refs; where that may not be written, the old peak stays.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return int(torch.cuda.memory_allocated(device))
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def peak_since(device: torch.device) -> int:
    """Return the most bytes that were in use since `begin_peak`."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return _status("VmHWM")


def _status(name: str) -> int:
    """Return a size of this process.  Source: proc(5), status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
