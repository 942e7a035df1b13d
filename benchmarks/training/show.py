"""The outcome as a table and as JSON, with the machine that it was taken on."""

import json
import os
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchmarks.training.contestants import FLOOR
from benchmarks.training.report import CLOCKS

RESULTS = Path(__file__).resolve().parents[1] / "results"
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "litgpt", "lightning", "numpy")
_TOKENS = 2048  # of a micro-batch, unless asked otherwise


def cpus() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0))


def free_bytes() -> int:
    """Return the memory that can be had without swapping."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def table(summary: dict[str, Any]) -> str:
    """Return a line a contestant."""
    names = ("tokens/s", "x hf_seed", "(90 %)", "by CPU s", "floor", "peak MB", "-loaded")
    widths = (9, 10, 13, 9, 6, 8, 8)
    heads = [f"{name:>{width}}" for name, width in zip(names, widths, strict=True)]
    lines = [" ".join([" " * 18, *heads, f"{'first s':>8}", f"{'held-out':>9}"])]
    for name, one in summary["contestants"].items():
        if name != FLOOR and one["vs_hf_seed"]["wall_s"]:
            lines.append(_row(name, one))
    lines += [f"{name:18} not measured: {why}" for name, why in summary["failed"].items()]
    return "\n".join(lines)


def _row(name: str, one: dict[str, Any]) -> str:
    wall, cpu = (one["vs_hf_seed"][clock] for clock in CLOCKS)
    peak, loaded = one["peak_bytes"] / 1e6, one["loaded_bytes"] / 1e6
    held = one["held_out_loss"]
    return (
        f"{name:18} {one['tokens_per_s']:9.0f} {wall['ratio']:10.2f} "
        f"{wall['low']:6.2f}-{wall['high']:<6.2f} {cpu['ratio']:9.2f} "
        f"{one['floor_share']['wall_s'] or 0:6.2f} {peak:8.0f} {peak - loaded:8.0f} "
        f"{statistics.median(one['first_step_s']):8.1f} "
        + (f"{held:9.4f}" if held is not None else f"{'-':>9}")
    )


def write(summary: dict[str, Any], options: dict[str, Any]) -> Path:
    """Write the JSON file and return its path."""
    parts = ["train", options["device"], options["shape"]]
    parts += [f"v{options['vocab'] // 1024}k"] if options["vocab"] else []
    parts += [str(options["tokens"])] if options["tokens"] != _TOKENS else []
    parts += [Path(options["data"]).stem] if options["data"] else []
    parts += ["ablation"] if options["ablation"] else ["only"] if options["only"] else []
    folder = Path(options["results"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("-".join(parts) + ".json")
    taken_on = {
        "machine": machine(options["device"]),
        "versions": _versions(),
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": os.getloadavg(),  # others' work too; wall figures suffer from it
    }
    kept = {
        **summary,
        **taken_on,
        "options": {**options, "data": None, "work": None, "results": None},
    }
    path.write_text(_readable(kept) + "\n", encoding="utf-8")
    return path


def _readable(summary: dict[str, Any]) -> str:
    """Return JSON with an entry a line, and steps on one."""
    text = json.dumps(summary, indent=1)
    steps = {name: one["steps"] for name, one in summary["contestants"].items()}
    for rows in steps.values():
        long = json.dumps(rows, indent=1).replace("\n", "\n   ")
        text = text.replace(long, json.dumps(rows))
    return text


def machine(device: str) -> dict[str, Any]:
    """Return what the figures were taken on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    models = {line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line}
    facts: dict[str, Any] = {
        "cpu": ", ".join(sorted(models)) or platform.processor(),
        "cpus": cpus(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    if device == "cuda":
        import torch

        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str:
    """Return the commit that was measured, with a mark if files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(  # noqa: S603  (a fixed command)
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return done.stdout.strip() or "unknown"
