"""The run manifest: what was run, on what, with what result; no path's content, no row's text."""

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medlora.config import Resolved
from medlora.files import sha256_file
from medlora.report.manifest_schema import Hardware, Image, StatedSetting
from medlora.runtime.image import cuda_of_torch, image_facts, oldest_driver
from medlora.runtime.machine import machine_memory
from medlora.runtime.packages import library_versions

if TYPE_CHECKING:
    import torch

SCHEMA = 1


def config_facts(resolved: Resolved) -> dict[str, StatedSetting]:
    """Return every key with its value and origin."""
    return {key: {"value": value, "origin": origin} for key, value, origin in resolved.rows()}


def software() -> dict[str, str | None]:
    """Return the versions of what computed, and the digest of the lock that pinned it."""
    import torch

    return {
        "python": platform.python_version(),
        **{name: text for name, text in library_versions().items() if name != "torch"},
        "torch": torch.__version__,  # with its CUDA build, which the package's version lacks
        "cuda": torch.version.cuda,
        "lock_sha256": lock_digest(),
    }


def image() -> Image:
    """Return the labels of the image that this runs in, if in one, and the driver it needs."""
    return {"minimum_driver": oldest_driver(cuda_of_torch()), "labels": image_facts()}


def lock_digest(prefix: Path = Path(sys.prefix)) -> str | None:
    """Return the SHA-256 of the uv.lock beside this environment, None where there is none."""
    lock = prefix.parent / "uv.lock"
    return sha256_file(lock) if lock.is_file() else None


def hardware(device: "torch.device") -> Hardware:
    """Return what the run computed on."""
    import torch

    facts: Hardware = {
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cpu_threads": torch.get_num_threads(),
        "memory_bytes": machine_memory(),
        "device": device.type,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["gpu"] = properties.name
        facts["gpu_memory_bytes"] = properties.total_memory
        facts["gpu_capability"] = f"{properties.major}.{properties.minor}"
    return facts


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
