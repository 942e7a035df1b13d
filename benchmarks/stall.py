"""How long a run waits for its checkpoints: one every 50 steps of the training benchmark.

    python -m benchmarks.stall [--steps 150] [--every 50]

One `medlora train`, as a user starts it.  Prints JSON: the seconds that the loop waited for a
checkpoint, as its manifest states them, and as a share of the run's; and the time of a token in
the steps during which a checkpoint is written, over that in all others, for the thread that
writes needs a processor too.
"""

import argparse
import json
import statistics
import sys
import tempfile
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from benchmarks.runs import Run, lay_out, train
from benchmarks.training.show import commit, machine

_WARM = 3  # steps that do not count


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=150)
    options.add_argument("--every", type=int, default=50)
    options.add_argument("--shape", default="bench")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, shape=chosen.shape, rows=2000)
        settings = {
            "training.max_steps": chosen.steps,
            "training.save_steps": chosen.every,
            "training.per_device_train_batch_size": 2,
            "training.gradient_accumulation_steps": 4,
        }
        run = train(folder, "stall", settings, {})
    print(json.dumps(_facts(run, chosen.every)))
    return 0


def _facts(run: Run, every: int) -> dict[str, object]:
    result = run.manifest["result"]
    writing, others = [], []
    for before, step in pairwise(run.steps):
        tokens = step["tokens_seen"] - before["tokens_seen"]
        rates = writing if before["step"] % every == 0 else others
        if before["step"] >= _WARM:
            rates.append((step["wall_s"] - before["wall_s"]) / tokens)
    return {
        "steps": result["steps"],
        "a_checkpoint_every": every,
        "wall_s": result["wall_s"],
        "waited_s": result["checkpoint_wait_s"],
        "waited_share": round(result["checkpoint_wait_s"] / result["wall_s"], 5),
        "steps_while_writing": len(writing),
        "their_time_a_token": round(statistics.median(writing) / statistics.median(others), 3),
        "machine": machine("cpu"),
        "commit": commit(),
        "medlora": version("medlora"),
    }


if __name__ == "__main__":
    sys.exit(main())
