"""What a run comes to: counted step by step, and stated at its end."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from medlora.checkpoint.state import Progress
from medlora.report.manifest_schema import Result
from medlora.report.metrics_jsonl import finite_or_null
from medlora.train.loop import StepResult


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a whole run came to; losses in nats a target, None without evaluation rows."""

    steps: int
    tokens: int | None  # seen, padding not counted
    targets: int | None  # of these, with loss
    train_loss: float | None  # mean over all targets of the last epoch
    base_eval_loss: float | None
    eval_loss: float | None
    best_eval_loss: float | None
    best_step: int | None
    skipped_steps: int
    wall_s: float  # of all attempts together
    checkpoint_wait_s: float = 0.0  # of the last attempt: what the loop waited for checkpoints
    ended_early: str | None = None  # why, if not all steps were wanted any more
    micro_batch_rows: int | None = None  # at most, since memory ran out
    converged_step: int | None = None  # where the training loss was first found flat
    nothing_learnt: str | None = None  # why the result is as good as none, if it is
    memory_peak_bytes: int | None = None  # of the last attempt, evaluations and saving included

    @property
    def facts(self) -> Result:
        """What a manifest states: all of it."""
        return cast("Result", asdict(self))


def count(progress: Progress, result: StepResult, *, steps_per_epoch: int) -> None:
    """Bring the counters up to a step that was just taken, or skipped."""
    if (result.step - 1) % steps_per_epoch == 0:
        progress.epoch_nats, progress.epoch_targets = 0.0, 0
    progress.step = result.step
    progress.tokens += result.tokens
    progress.targets += result.targets
    progress.skipped_steps += result.skipped
    if math.isfinite(result.loss):
        progress.epoch_nats += result.loss * result.targets
        progress.epoch_targets += result.targets
        progress.skipped_in_a_row = 0
    else:
        progress.skipped_in_a_row += 1


def state(progress: Progress, *, wall_s: float, waited_s: float, peak_bytes: int) -> TrainResult:
    """Return what the counters say at the end.

    Args:
        progress: of the whole run.
        wall_s: seconds of training, all attempts together.
        waited_s: seconds that this attempt waited for checkpoints.
        peak_bytes: of memory, at most in this attempt.
    """
    best_step, best_loss = progress.best or (None, None)
    targets = progress.epoch_targets
    return TrainResult(
        steps=progress.step,
        tokens=progress.tokens,
        targets=progress.targets,
        train_loss=progress.epoch_nats / targets if targets else None,
        base_eval_loss=progress.base,
        eval_loss=progress.latest,
        best_eval_loss=best_loss,
        best_step=best_step,
        skipped_steps=progress.skipped_steps,
        wall_s=round(wall_s, 1),
        checkpoint_wait_s=round(waited_s, 3),
        ended_early=progress.ended,
        converged_step=progress.converged_step,
        micro_batch_rows=progress.micro_batch_rows,
        memory_peak_bytes=peak_bytes,
    )


def without_sums_over_rows(result: TrainResult) -> TrainResult:
    """Return what a private run may state: nothing that adds up over the rows it drew."""
    return replace(result, tokens=None, targets=None, train_loss=None)


def step_as_json(result: StepResult) -> dict[str, float | None]:
    """Return a step's result in JSON values."""
    return finite_or_null(asdict(result))


def step_from_json(record: Mapping[str, float | None]) -> StepResult:
    """Return what `step_as_json` was given; of numbers that were not finite, NaN."""
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in record.items()}
    return StepResult(**values)
