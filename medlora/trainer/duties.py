"""What is due beside the steps: evaluations, questions, checkpoints, and when a run ends early."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from medlora.checkpoint.names import BEST
from medlora.checkpoint.state import Progress
from medlora.config import RunConfig
from medlora.distributed.team import InterruptError, PeerLostError
from medlora.evaluate.loss import HeldOut
from medlora.plan.device import memory_in_use
from medlora.runs.folder_contents import adapter, checkpoint
from medlora.train.loop import Drive, StepResult
from medlora.train.step_in_pieces import RowLimit
from medlora.trainer import train_result
from medlora.trainer.compute_engine import Engine
from medlora.trainer.context import RunContext
from medlora.trainer.due import Due, due_after
from medlora.trainer.learning_check import nothing_learnt
from medlora.trainer.observer import Observer
from medlora.trainer.run_checkpoints import Commits
from medlora.trainer.stop_rules import (
    check_base_loss,
    check_diverged,
    note_convergence,
    note_standstill,
)
from medlora.trainer.train_result import TrainResult


class Duties:
    """Counts a run's steps and does what is due after each, the same on all workers.

    Args:
        config: says what is due when.
        context: what the run is part of.
        engine: that takes the steps.
        observer: notes what happens.
        commits: writes the checkpoints.
        evaluate: returns the held-out loss, None without evaluation rows.

    Attributes:
        progress: where the run stands.
    """

    def __init__(
        self,
        config: RunConfig,
        context: RunContext,
        engine: Engine,
        observer: Observer,
        commits: Commits,
        evaluate: Callable[[], HeldOut | None],
    ) -> None:
        self.progress = Progress()
        self._cfg, self._context, self._engine = config.training, context, engine
        self._observer, self._commits, self._evaluate = observer, commits, evaluate

    @property
    def stated_progress(self) -> Progress:
        """The progress as a checkpoint states it, a copy that no step changes."""
        scaler = self._engine.accelerator.scaler
        return replace(
            self.progress,
            wall_s=self._observer.wall_s,
            scaler=scaler.state_dict() if scaler else None,
        )

    def drive(self) -> Drive:
        """Return what drives the loop from where the run stands, and has its steps counted."""
        limit = RowLimit(self.progress.micro_batch_rows)

        def count(result: StepResult, seconds: float) -> None:
            self._observer.trained_s += seconds
            self.progress.micro_batch_rows = limit.rows
            self.count(result)

        return Drive(start=self.progress.step, limit=limit, poll=self._commits.poll, taken=count)

    def count(self, result: StepResult) -> None:
        """Bring the progress up to a step that was just taken."""
        train_result.count(self.progress, result, steps_per_epoch=self._engine.steps_per_epoch)
        if self._engine.private:
            self.progress.privacy = self._engine.private.ledger.state

    def catch_up(self) -> None:
        """Look at the base before the first step; do what an interrupted attempt left undone."""
        if self.progress.step == 0:
            self._observer.restart()
            base = self._evaluated(step=0, epoch=0.0)
            check_base_loss(base, self._engine.peft_model)
            self.progress.base = self.progress.latest = base
            if self._cfg.generation_steps is not None:
                self._ask(step=0)
        if self.progress.pending:
            self.after(train_result.step_from_json(self.progress.pending))

    def after(self, result: StepResult) -> None:
        """Do what is due after a step: record, evaluate, ask, save.

        Interrupted in between, the step counts and all of this is done again on resuming.
        """
        counted, recorded = replace(self.progress), self._observer.metrics
        total, per_epoch = self._engine.total_steps, self._engine.steps_per_epoch
        due = due_after(result, self._cfg, total_steps=total, steps_per_epoch=per_epoch)
        try:
            self._look(result, due)
        except (InterruptError, PeerLostError):
            self._observer.restart(recorded)
            self.progress = replace(counted, pending=train_result.step_as_json(result))
            raise
        self.progress.pending = None
        self._save(result, due)

    def result(self) -> TrainResult:
        """Return what the run came to."""
        device = self._engine.accelerator.device
        result = train_result.state(
            self.progress,
            wall_s=self._observer.wall_s,
            waited_s=self._commits.waited_s,
            peak_bytes=memory_in_use(device)["memory_peak_bytes"],
        )
        why = nothing_learnt(self._engine.peft_model, self._observer.metrics)
        result = replace(result, nothing_learnt=why)
        return train_result.without_sums_over_rows(result) if self._engine.private else result

    def _look(self, result: StepResult, due: Due) -> None:
        """Record, evaluate and ask, as is due; note whether the run is to end."""
        cfg, progress = self._cfg, self.progress
        if due.log:
            self._observer.record_step(result, progress)
        check_diverged(progress, result, cfg, model=self._engine.peft_model)
        if due.evaluate:
            progress.latest = self._evaluated(step=result.step, epoch=result.epoch)
            note_standstill(progress, progress.latest, cfg)
        if due.ask:
            self._ask(step=result.step)
        note_convergence(progress, result, cfg)

    def _save(self, result: StepResult, due: Due) -> None:
        """Save the best model, the epoch and the step, as is due or was asked for."""
        best, saves = self.progress.best, []
        if due.evaluate and best and best[0] == result.step:
            saves.append(adapter(BEST, {"eval_loss": best[1]}))
        if due.save_epoch:
            epoch = round(result.epoch)
            saves.append(checkpoint(f"epoch_{epoch}", epoch=epoch))
        if self._context.stop.take_save_request() or due.save:
            saves.append(checkpoint(f"step_{result.step}"))
        if saves:
            self._commits.save(saves, self.stated_progress, self._observer.metrics)

    def _evaluated(self, *, step: int, epoch: float) -> float | None:
        """Evaluate, and note the outcome and whether it is the best; return the loss."""
        with self._observer.view.doing("evaluating on held-out rows"):
            held_out = self._evaluate()
        if held_out is None:
            return None
        self._observer.record_evaluation(held_out, step=step, epoch=epoch)
        best = self.progress.best
        if step and (best is None or held_out.loss < best[1]):
            self.progress.best = (step, held_out.loss)
        return held_out.loss

    def _ask(self, *, step: int) -> None:
        ask = partial(self._observer.ask, step=step, poll=self._commits.poll_all)
        self._engine.team.lead(ask)
