"""metrics.jsonl: one JSON object a line, numbers only; every checkpoint carries a copy."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medlora.files import append_line, write_bytes

if TYPE_CHECKING:  # pages are read where torch takes longer to import than they do
    from medlora.evaluate.loss import HeldOut
    from medlora.train.loop import StepResult

METRICS = "metrics.jsonl"
PRIVATE = "differential_privacy"  # where the manifest of a private run has its guarantee
# What a clock or the machine says; all other numbers are the same in every repetition of a run.
MEASURED = ("tokens_per_s", "wall_s", "memory_bytes", "memory_peak_bytes")


@dataclass(frozen=True, slots=True)
class MetricsLine:
    """A line of metrics.jsonl.

    Attributes:
        kind: what it tells of: a step of training (`train`), an evaluation (`eval`), or numbers of
            any other name (`metrics`).
        step: after which it was taken; 0 is the base model.
        numbers: by name; None where one is not finite, as JSON has neither NaN nor Inf.
    """

    kind: str
    step: int
    numbers: Mapping[str, float | None]

    @property
    def text(self) -> str:
        """The line as it is written."""
        return json.dumps({"kind": self.kind, "step": self.step, **self.numbers})


def read_lines(metrics: bytes) -> Iterator[MetricsLine]:
    """Yield the lines of a metrics.jsonl."""
    for line in metrics.splitlines():
        numbers = json.loads(line)
        yield MetricsLine(numbers.pop("kind"), numbers.pop("step"), numbers)


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

    def record_step(self, result: "StepResult", **more: float) -> MetricsLine:
        """Add the metrics of a training step; return the line as it was written."""
        numbers = asdict(result)
        return self._write("train", numbers.pop("step"), {**numbers, **more})

    def record_eval(self, held_out: "HeldOut", *, step: int, epoch: float) -> MetricsLine:
        """Add an evaluation; step 0 is the base model."""
        numbers = {"epoch": epoch, "eval_loss": held_out.loss, "eval_targets": held_out.targets}
        return self._write("eval", step, numbers)

    def record_metrics(self, metrics: Mapping[str, float], *, step: int) -> MetricsLine:
        """Add numbers of any other name."""
        return self._write("metrics", step, metrics)

    def _write(self, kind: str, step: int, numbers: Mapping[str, float]) -> MetricsLine:
        line = MetricsLine(kind, step, finite_or_null(numbers))
        append_line(self._file, line.text)
        self._content += line.text.encode() + b"\n"
        return line


def finite_or_null(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers in which NaN and Inf, which JSON does not have, are None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }


def releasable(metrics: bytes) -> bytes:
    """Return the metrics without the lines of training steps.

    A step's loss and counts tell which rows were drawn, and the guarantee lives on nobody
    knowing that.
    """
    lines = metrics.splitlines(keepends=True)
    return b"".join(line for line in lines if json.loads(line)["kind"] != "train")
