"""What a second worker gives: tokens/s of real runs with 1 and 2 workers, in turn, as a ratio.

    python -m benchmarks.scaling [--workers 1 2] [--rounds 3] [--threads 1]

Each run is `medlora train` on the training benchmark's rows and model, a thread for each worker;
the speed is that of the run's own metrics behind the first steps.  Prints JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.runs import lay_out, train
from benchmarks.training.show import commit, machine

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
        lay_out(folder, shape=chosen.shape, rows=400)
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
        "commit": commit(),
        "medlora": version("medlora"),
        "sharding": chosen.sharding,
    }
    print(json.dumps(facts))
    return 0


def _run(folder: Path, name: str, workers: int, chosen: argparse.Namespace) -> tuple[float, str]:
    """Return (tokens/s behind the first steps, the adapter's digest)."""
    settings = {
        "training.max_steps": chosen.steps,
        "training.per_device_train_batch_size": 2,
        "training.gradient_accumulation_steps": 8,
        "training.sharding": chosen.sharding,
    }
    environment = {"MEDLORA_NPROC": str(workers), "OMP_NUM_THREADS": str(chosen.threads)}
    run = train(folder, name, settings, environment)
    steps = run.steps[_WARM:]
    tokens = steps[-1]["tokens_seen"] - steps[0]["tokens_seen"]
    speed = tokens / (steps[-1]["wall_s"] - steps[0]["wall_s"])
    return speed, run.manifest["files"]["adapter_model.safetensors"]


if __name__ == "__main__":
    sys.exit(main())
