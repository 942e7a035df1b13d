"""metrics.jsonl: one JSON object a line, numbers only."""

import json
from dataclasses import asdict
from pathlib import Path

from medlora.evaluate.loss import HeldOut
from medlora.files import append_line, write_bytes
from medlora.train.loop import StepResult

METRICS = "metrics.jsonl"


class History:
    """The metrics of one run, in memory and in its file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / METRICS
        self.train: list[StepResult] = []
        self.evals: list[tuple[int, float]] = []
        write_bytes(self._file, b"")

    def record_step(self, result: StepResult) -> None:
        """Add the metrics of a training step."""
        self.train.append(result)
        self._write({"kind": "train", **asdict(result)})

    def record_eval(self, held_out: HeldOut, *, step: int, epoch: float) -> None:
        """Add an evaluation; step 0 is the base model."""
        self.evals.append((step, held_out.loss))
        self._write(
            {
                "kind": "eval",
                "step": step,
                "epoch": epoch,
                "eval_loss": held_out.loss,
                "eval_targets": held_out.targets,
            }
        )

    def _write(self, record: dict[str, object]) -> None:
        append_line(self._file, json.dumps(record))
