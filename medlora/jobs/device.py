"""Which device a run has, what that can do, and how much of it is in use."""

import resource
from pathlib import Path

import torch


def device_type() -> str:
    """Return `cuda` where a GPU can be used, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bf16() -> bool:
    """Tell whether the device computes in bfloat16; every CPU does, if slowly."""
    return device_type() == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def memory_in_use(device: torch.device) -> dict[str, float]:
    """Return bytes in use and at most so far: of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return {
            "memory_bytes": torch.cuda.memory_allocated(device),
            "memory_peak_bytes": torch.cuda.max_memory_allocated(device),
        }
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "memory_bytes": pages * resource.getpagesize(),
        "memory_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
