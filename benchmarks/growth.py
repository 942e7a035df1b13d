"""Whether a run's memory grows: what is resident at every step of a long run of varied lengths.

    python -m benchmarks.growth [--steps 2000] [--capacity 32] [--mkl]

One `medlora train`, as a user starts it.  Prints JSON: resident memory at some steps, how far it
rose above that of the hundredth step, the digest of the adapter (other settings must not change
it) and tokens a second.

`--capacity` is oneDNN's number of kept primitives, `ONEDNN_PRIMITIVE_CACHE_CAPACITY`, instead of
our own; the library's is 1024.  `--mkl` does without oneDNN (`training.onednn: false`).
"""

import argparse
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.runs import Run, lay_out, train
from benchmarks.training.show import commit, machine

_SETTLED = 100  # steps after which nothing may be added
_SHOWN = (1, 10, 20, 50, 100, 200, 500, 1000, 1500, 2000)
_MIB = 1 << 20


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=2000)
    options.add_argument("--shape", default="tiny")
    options.add_argument("--rows", type=int, default=2000)
    options.add_argument("--capacity", type=int, help="primitives that oneDNN keeps")
    options.add_argument("--mkl", action="store_true", help="without oneDNN")
    options.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE")
    chosen = options.parse_args()
    variables = dict(one.split("=", 1) for one in chosen.variable)
    if chosen.capacity is not None:
        variables["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = str(chosen.capacity)
    settings = {
        "training.max_steps": chosen.steps,
        "training.num_train_epochs": 10**6,
        "training.save_steps": 10**6,
        "training.save_epochs": 10**6,
        "training.per_device_train_batch_size": 2,
        "training.gradient_accumulation_steps": 4,
        "training.onednn": not chosen.mkl,
    }
    with tempfile.TemporaryDirectory() as name:
        lay_out(Path(name), shape=chosen.shape, rows=chosen.rows)
        run = train(Path(name), "growth", settings, variables)
    asked = {"mkl": chosen.mkl, "variables": variables, "shape": chosen.shape}
    print(json.dumps({**asked, **_facts(run)}))
    return 0


def _facts(run: Run) -> dict[str, Any]:
    resident = {one["step"]: one["memory_bytes"] for one in run.steps}
    settled = resident[min(_SETTLED, max(resident))]
    highest = max(size for step, size in resident.items() if step >= min(_SETTLED, max(resident)))
    seconds = sum(one["tokens"] / one["tokens_per_s"] for one in run.steps)
    return {
        "steps": max(resident),
        "pack_lengths": len({one["tokens"] for one in run.steps}),
        "resident_mib": {
            step: round(resident[step] / _MIB, 1) for step in _SHOWN if step in resident
        },
        "highest_after_100_steps": round(highest / settled - 1, 4),
        "peak_mib": round(run.manifest["result"]["memory_peak_bytes"] / _MIB, 1),
        "tokens_per_s": round(sum(one["tokens"] for one in run.steps) / seconds, 1),
        "adapter_sha256": run.manifest["files"]["adapter_model.safetensors"],
        "machine": machine("cpu"),
        "commit": commit(),
        "medlora": version("medlora"),
    }


if __name__ == "__main__":
    sys.exit(main())
