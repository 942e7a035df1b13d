"""Real runs, `medlora train`, on the rows and the model of the training benchmark."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training.prepare import BASE, prepare

_SETTINGS = {
    "training.logging_steps": 1,
    "training.gradient_checkpointing": "false",
    "training.eval_steps": 10**6,
    "data.privacy": "off",
    "lora.r": 32,
}


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left behind."""

    steps: list[dict[str, Any]]  # the metrics of each training step
    manifest: dict[str, Any]  # of the adapter


def lay_out(folder: Path, *, shape: str, rows: int) -> None:
    """Write rows and a base model with random weights below a folder."""
    options = {"vocab": None, "held_out": 8, "data": None, "max_length": 1024}
    more = {"dtype": "float32", "tokens": 2048}
    prepare(folder, {"shape": shape, "rows": rows, **options, **more})


def train(
    folder: Path, name: str, settings: Mapping[str, Any], environment: Mapping[str, str]
) -> Run:
    """Train on what `lay_out` wrote.

    Args:
        folder: where it is.
        name: of the run.
        settings: config keys, beside those that all such runs have.
        environment: variables, beside this process's own.
    """
    stated = {"run_name": name, **_SETTINGS, **settings}
    subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-P", "-m", "medlora", "train", "--config", "recommended"),
            *("--data", str(folder / "texts.jsonl"), "--model", str(folder / BASE)),
            *("--checkpoints", str(folder / "out")),
            *(part for key, value in stated.items() for part in ("--set", f"{key}={value}")),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )
    run = folder / "out" / name
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    manifest = json.loads((run / "final/manifest.json").read_text(encoding="utf-8"))
    return Run([line for line in lines if line["kind"] == "train"], manifest)
