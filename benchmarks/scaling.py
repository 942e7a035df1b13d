"""What a second worker gives: tokens/s of real runs with 1 and 2 workers, in turn, as a ratio.

    python -m benchmarks.scaling [--workers 1 2] [--rounds 3] [--threads 1]

Each run is `medlora train` on the training benchmark's rows and model, a thread for each worker;
the speed is that of the run's own metrics behind the first steps.  Prints JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.training.prepare import BASE, prepare
from benchmarks.training.show import machine

_WARM = 3  # steps that do not count


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=12)
    options.add_argument("--threads", type=int, default=1, help="of each worker")
    options.add_argument("--shape", default="bench")
    options.add_argument("--sharding", default="none")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(
            folder,
            {
                "shape": chosen.shape,
                "vocab": None,
                "rows": 400,
                "held_out": 8,
                "data": None,
                "max_length": 1024,
                "dtype": "float32",
                "tokens": 2048,
            },
        )
        speeds: dict[int, list[float]] = {count: [] for count in chosen.workers}
        digests = set()
        for number in range(chosen.rounds):
            for count in chosen.workers:
                speed, digest = _run(folder, f"{count}-{number}", count, chosen)
                speeds[count].append(speed)
                digests.add(digest)
                print(f"round {number + 1}: {count} workers {speed:.0f} tokens/s", file=sys.stderr)
    first = chosen.workers[0]
    ratios = {
        count: statistics.median(two / one for one, two in zip(speeds[first], found, strict=True))
        for count, found in speeds.items()
    }
    facts = {
        "tokens_per_s": {
            count: [round(one, 1) for one in found] for count, found in speeds.items()
        },
        f"ratio_to_{first}": {count: round(value, 3) for count, value in ratios.items()},
        "same_adapter": len(digests) == 1,
        "threads_a_worker": chosen.threads,
        "machine": machine("cpu"),
        "medlora": version("medlora"),
        "sharding": chosen.sharding,
    }
    print(json.dumps(facts))
    return 0


def _run(folder: Path, name: str, workers: int, chosen: argparse.Namespace) -> tuple[float, str]:
    """Return (tokens/s behind the first steps, the adapter's digest)."""
    sets = {
        "run_name": name,
        "training.max_steps": chosen.steps,
        "training.per_device_train_batch_size": 2,
        "training.gradient_accumulation_steps": 8,
        "training.logging_steps": 1,
        "training.gradient_checkpointing": "false",
        "training.eval_steps": 10**6,
        "training.sharding": chosen.sharding,
        "data.privacy": "off",
        "lora.r": 32,
    }
    subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-P", "-m", "medlora", "train", "--config", "recommended"),
            *("--data", str(folder / "texts.jsonl"), "--model", str(folder / BASE)),
            *("--checkpoints", str(folder / "out")),
            *(part for key, value in sets.items() for part in ("--set", f"{key}={value}")),
        ],
        check=True,
        capture_output=True,
        env={
            **os.environ,
            "MEDLORA_NPROC": str(workers),
            "OMP_NUM_THREADS": str(chosen.threads),
        },
    )
    run = folder / "out" / name
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    steps = [line for line in lines if line["kind"] == "train"][_WARM:]
    began = steps[0]
    tokens = steps[-1]["tokens_seen"] - began["tokens_seen"]
    manifest = json.loads((run / "final/manifest.json").read_text(encoding="utf-8"))
    speed = tokens / (steps[-1]["wall_s"] - began["wall_s"])
    return speed, manifest["files"]["adapter_model.safetensors"]


if __name__ == "__main__":
    sys.exit(main())
