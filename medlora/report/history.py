"""metrics.jsonl: one JSON object a line, numbers only; every checkpoint carries a copy."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medlora.files import append_line, write_bytes

if TYPE_CHECKING:  # pages are read where torch takes longer to import than they do
    from medlora.evaluate.loss import HeldOut
    from medlora.train.loop import StepResult

METRICS = "metrics.jsonl"
PRIVATE = "differential_privacy"  # where the manifest of a private run has its guarantee
# What a clock or the machine says; all other numbers are the same in every repetition of a run.
MEASURED = ("tokens_per_s", "wall_s", "memory_bytes", "memory_peak_bytes")


class History:
    """The metrics of one run, in memory and in its file."""

    def __init__(self, folder: Path) -> None:
        """Write to this folder; `restart` comes first."""
        self._file = folder / METRICS
        self._content = b""

    @property
    def content(self) -> bytes:
        """All that was recorded so far, as the file holds it."""
        return self._content

    def restart(self, content: bytes = b"") -> None:
        """Replace the file's content: by nothing, or by what a checkpoint carried."""
        write_bytes(self._file, content)
        self._content = content

    def record_step(self, result: "StepResult", **more: float) -> dict[str, Any]:
        """Add the metrics of a training step; a number that is not finite is null.

        Returns:
            The line as it was written, like the other two.
        """
        return self._write({"kind": "train", **asdict(result), **more})

    def record_eval(self, held_out: "HeldOut", *, step: int, epoch: float) -> dict[str, Any]:
        """Add an evaluation; step 0 is the base model."""
        return self._write(
            {
                "kind": "eval",
                "step": step,
                "epoch": epoch,
                "eval_loss": held_out.loss,
                "eval_targets": held_out.targets,
            }
        )

    def record_metrics(self, metrics: Mapping[str, float], *, step: int) -> dict[str, Any]:
        """Add numbers of any other name."""
        return self._write({"kind": "metrics", "step": step, **metrics})

    def _write(self, record: dict[str, Any]) -> dict[str, Any]:
        record = finite_or_null(record)
        line = json.dumps(record)
        append_line(self._file, line)
        self._content += line.encode() + b"\n"
        return record


def finite_or_null(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which NaN and Inf, which JSON does not have, are null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


def releasable(metrics: bytes) -> bytes:
    """Return the metrics without the lines of training steps.

    A step's loss and counts tell which rows were drawn, and the guarantee lives on nobody
    knowing that.
    """
    lines = metrics.splitlines(keepends=True)
    return b"".join(line for line in lines if json.loads(line)["kind"] != "train")
