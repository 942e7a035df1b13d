"""The seed's trainer: the loop of `train.loop` with evaluation, checkpoints and exact resume."""

import json
import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.resume import newest_valid, prune
from medlora.checkpoint.state import OPTIMIZER, PROGRESS, Progress, Snapshot, restore_state
from medlora.checkpoint.store import DamagedError, read_manifest, write_checkpoint
from medlora.checkpoint.writer import Writer
from medlora.config import RunConfig, from_mapping
from medlora.errors import DivergedError, MedloraError, StoppedError
from medlora.evaluate.loss import HeldOut, held_out_loss
from medlora.files import make_folder
from medlora.logs import logger
from medlora.model.adapter import WEIGHTS, described_files, saved_files
from medlora.report.history import METRICS, finite_or_null
from medlora.report.monitor import TrainingMonitor
from medlora.report.progress import ProgressView
from medlora.runtime import Stop
from medlora.train.loop import StepResult, steps_in_epoch, total_steps, train_steps
from medlora.train.memory import Fit
from medlora.train.optim import build_optimizer, loraplus
from medlora.train.precision import choose_precision
from medlora.train.stopping import EarlyStopping, detect_convergence

_log = logger(__name__)
BEST, FINAL = "best_model", "final"


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


@dataclass(frozen=True, slots=True)
class _Save:
    """A folder to write; a resumable one carries the optimizer and the progress as well."""

    name: str
    facts: Mapping[str, Any]
    resumable: bool = False


def _checkpoint(name: str) -> _Save:
    return _Save(name, {"kind": "checkpoint"}, resumable=True)


class MedicalLoRATrainer:
    """Train a PEFT model's adapter; `train()` does all of it, `steps()` yields each step.

    Writes `best_model/`, `epoch_N/`, `step_N/`, `metrics.jsonl`, what `report_to` names and the
    curves (where matplotlib is there) into `<output_dir>/<run_name>`, each checkpoint whole or
    not at all.  A run that was interrupted, at whatever moment, goes on after `resume()` and
    ends with the same bits.

    Args:
        model: a PeftModel whose adapter alone trains; moved to the GPU if there is one.
        tokenizer: saved with each checkpoint.
        train_dataloader: yields dicts of int64 [B, T]: input_ids, attention_mask, labels
            (-100 where no loss is).  Its sampler's `set_epoch`, if any, is called.
        eval_dataloader: the same for held-out rows.
        config: a RunConfig or a dict of the same keys; defaults where None.
        facts: JSON values that each checkpoint's manifest repeats.
        stop: where signals are noted; without one, none is.

    Raises:
        ConfigError: the config or the device cannot do what was asked.
    """

    def __init__(  # noqa: PLR0913  (the seed's five, and two for jobs)
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        train_dataloader: DataLoader[dict[str, Tensor]],
        eval_dataloader: DataLoader[dict[str, Tensor]] | None = None,
        config: RunConfig | Mapping[str, Any] | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.config = config if isinstance(config, RunConfig) else from_mapping(config or {})
        self.tokenizer = tokenizer
        self.train_dataloader = train_dataloader
        self.eval_dataloader = eval_dataloader
        cfg = self.config.training
        self.precision = choose_precision(cfg, device=device_type(), bf16_supported=has_bf16())
        self.accelerator = Accelerator(mixed_precision=self.precision)
        if cfg.gradient_checkpointing:
            model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        self._bare = model
        faster = loraplus(model, self.config.lora.loraplus_lr_ratio)
        self._adamw = build_optimizer(model.parameters(), cfg, multipliers=faster)
        self.model, self.optimizer = self.accelerator.prepare(model, self._adamw)
        self.folder = Path(cfg.output_dir) / self.config.run_name
        self.progress = Progress()
        self._facts = dict(facts or {})
        self._stop = stop or Stop()
        self._history = TrainingMonitor(self.config)
        self._unchanging = {**described_files(model), **saved_files(tokenizer)}
        self._snapshot, self._writer = Snapshot(), Writer()
        self._waited_s = 0.0  # for checkpoints, in this attempt
        self._began = time.monotonic()
        self._lap = (self._began, 0)  # clock and tokens at the last logged step

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return total_steps(self.train_dataloader, self.config.training)

    def steps(self) -> Iterator[StepResult]:
        """Train on from the present step, yielding after each; nothing is saved or evaluated."""
        self.model.train()
        fit = Fit(self.progress.micro_batch_rows)
        for result in train_steps(
            self.accelerator,
            self.model,
            self.optimizer,
            self.train_dataloader,
            self.config.training,
            start=self.progress.step,
            poll=self._poll,
            fit=fit,
        ):
            self.progress.micro_batch_rows = fit.rows
            self._count(result)
            yield result

    def evaluate(self) -> HeldOut | None:
        """Return the held-out loss in nats a target, None without evaluation rows."""
        if self.eval_dataloader is None:
            return None
        device = self.accelerator.device
        return held_out_loss(self.model, self.eval_dataloader, device=device, poll=self._poll)

    def resume(self, *, check: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda _: {}) -> int:
        """Go on from the newest checkpoint that proves itself; return its step, 0 for none.

        Damaged ones are set aside with a line each.

        Args:
            check: gets the checkpoint's manifest before anything is loaded; what it raises
                keeps the run from going on, what it returns joins the `facts`.
        """
        found = newest_valid(self.folder) if self.folder.is_dir() else None
        if found is None:
            return 0
        folder, manifest = found
        self._facts.update(check(manifest))
        names = (WEIGHTS, OPTIMIZER, PROGRESS)
        files = {name: (folder / name).read_bytes() for name in names}
        self.progress = restore_state(self._bare, self._adamw, files)
        if self.accelerator.scaler and self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)
        self._history.restart((folder / METRICS).read_bytes())
        _log.info("going on from %s of %d steps", folder.name, self.total_steps)
        return self.progress.step

    def train(self) -> TrainResult:
        """Train to the end: evaluate and save when due, keep the best, return the outcome.

        Raises:
            StoppedError: a signal asked for it; the last completed step is committed.
            DivergedError: too many steps in a row were not finite.
            StorageError: a checkpoint cannot be written; older ones are as they were.
        OutOfMemoryError: a single row does not fit.
        """
        make_folder(self.folder)
        self._began = time.monotonic() - self.progress.wall_s
        self._lap = (time.monotonic(), self.progress.tokens)
        try:
            with self._stop.gently():
                self._train()
            self._writer.wait()
        except _InterruptedError:
            self._commit_stop()
        except BaseException:
            self._settle()
            raise
        self._history.close()
        return self._result()

    def save(self, name: str, *, facts: Mapping[str, Any] | None = None) -> Path:
        """Write adapter, tokenizer and metrics as a folder of this run; return it.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        self._commit([_Save(name, {"kind": "adapter", **(facts or {})})])
        self._writer.wait()
        return self.folder / name

    def _commit(self, saves: Sequence[_Save]) -> None:
        """Write these folders behind the loop's back, then prune.

        The loop waits for the writing before, if that is not done, and for a copy in memory.
        """
        began = time.monotonic()
        self._writer.wait()
        self._snapshot.take(self._bare, self._adamw)
        progress, metrics = self._stated_progress(), self._history.content
        self._writer.submit(partial(self._write, saves, progress, metrics))
        self._waited_s += time.monotonic() - began

    def _write(self, saves: Sequence[_Save], progress: Progress, metrics: bytes) -> None:
        adapter = self._snapshot.adapter_file(self._bare)
        common = {**self._unchanging, METRICS: metrics, **adapter}
        state = self._snapshot.state_files(progress) if any(s.resumable for s in saves) else {}
        for one in saves:
            files = {**common, **state} if one.resumable else common
            stated = {"step": progress.step, **self._facts, **one.facts}
            write_checkpoint(self.folder / one.name, files, stated)
        prune(self.folder, keep=self.config.training.save_total_limit)

    def _stated_progress(self) -> Progress:
        scaler = self.accelerator.scaler
        return replace(
            self.progress,
            wall_s=time.monotonic() - self._began,
            scaler=scaler.state_dict() if scaler else None,
        )

    def _settle(self) -> None:
        """Let the writing end after a failure, which is the news; a second one is a line."""
        try:
            self._writer.wait()
        except MedloraError as error:
            _log.warning("a checkpoint was not written: %s", str(error).splitlines()[0])

    def _train(self) -> None:
        if self.progress.step == 0:
            self._history.restart()
            base = self._evaluated(step=0, epoch=0.0)
            self.progress.base = self.progress.latest = base
        with ProgressView(self.total_steps, every=self.config.training.logging_steps) as view:
            if self.progress.pending:
                self._after(_step_from_json(self.progress.pending))
            for result in () if self.progress.ended else self.steps():
                view.show(result)
                self._after(result)
                if self.progress.ended:
                    _log.info("ending at step %d: %s", result.step, self.progress.ended)
                    break

    def _count(self, result: StepResult) -> None:
        """Bring the counters up to a step that was just taken, or skipped."""
        progress = self.progress
        if (result.step - 1) % self._steps_per_epoch == 0:
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

    def _after(self, result: StepResult) -> None:
        """Do what is due after a step: log, evaluate, save.

        Interrupted in between, the step counts and all of this is done again on resuming.
        """
        due, recorded = self._due(result), self._history.content
        try:
            if due["log"]:
                self._record(result)
            self._check_diverged(result)
            if due["evaluate"]:
                loss = self._evaluated(step=result.step, epoch=result.epoch)
                self.progress.latest = loss
                self._check_standstill(loss)
            self._check_convergence(result)
        except _InterruptedError:
            self._history.restart(recorded)
            self.progress.pending = finite_or_null(asdict(result))
            raise
        self.progress.pending = None
        best = self.progress.best
        saves = []
        if due["evaluate"] and best and best[0] == result.step:
            saves.append(_Save(BEST, {"kind": "adapter", "eval_loss": best[1]}))
        if due["epoch"]:
            saves.append(_checkpoint(f"epoch_{round(result.epoch)}"))
        if self._stop.take_save_request() or due["save"]:
            saves.append(_checkpoint(f"step_{result.step}"))
        if saves:
            self._commit(saves)

    def _due(self, result: StepResult) -> dict[str, bool]:
        """Tell what comes after a step; the last one is always logged and evaluated."""
        cfg, step = self.config.training, result.step
        last, epoch_ends = step == self.total_steps, step % self._steps_per_epoch == 0
        return {
            "log": last or result.skipped or step % cfg.logging_steps == 0,
            "evaluate": last or epoch_ends or step % cfg.eval_steps == 0,
            "save": step % cfg.save_steps == 0,
            "epoch": epoch_ends and step // self._steps_per_epoch % cfg.save_epochs == 0,
        }

    def _record(self, result: StepResult) -> None:
        now, (then, tokens) = time.monotonic(), self._lap
        self._history.record_step(
            result,
            tokens_seen=self.progress.tokens,
            targets_seen=self.progress.targets,
            tokens_per_s=round((self.progress.tokens - tokens) / max(now - then, 1e-9), 1),
            wall_s=round(now - self._began, 3),
            **_memory(self.accelerator.device),
        )
        self._lap = (now, self.progress.tokens)

    def _check_diverged(self, result: StepResult) -> None:
        if self.progress.skipped_in_a_row < self.config.training.max_skipped_steps:
            return
        raise DivergedError(
            f"step {result.step}: the loss is {result.loss}, for "
            f"{self.progress.skipped_in_a_row} steps in a row; none of them was taken",
            fix="lower training.learning_rate, lengthen the warm-up, or use bf16 instead of fp16",
        )

    def _check_standstill(self, eval_loss: float | None) -> None:
        """Note that held-out loss stands still, if the config wants to know."""
        cfg = self.config.training
        if cfg.early_stopping_patience is None or eval_loss is None:
            return
        rule = EarlyStopping(cfg.early_stopping_patience, cfg.early_stopping_threshold)
        if self.progress.early_stopping:
            rule.load_state_dict(self.progress.early_stopping)
        if rule(eval_loss):
            self.progress.ended = (
                f"no better held-out loss in {cfg.early_stopping_patience} evaluations"
            )
        self.progress.early_stopping = rule.state_dict()

    def _check_convergence(self, result: StepResult) -> None:
        """Note that the training loss is flat, once, if the config wants to know."""
        cfg, progress = self.config.training, self.progress
        window = cfg.convergence_window
        if window is None or progress.converged_step is not None or result.skipped:
            return
        progress.recent_losses = [*progress.recent_losses, result.loss][-2 * window :]
        if detect_convergence(progress.recent_losses, window, cfg.convergence_threshold):
            progress.converged_step = result.step
            _log.info("step %d: the training loss has converged", result.step)
            if cfg.stop_on_convergence:
                progress.ended = "the training loss has converged"

    def _evaluated(self, *, step: int, epoch: float) -> float | None:
        held_out = self.evaluate()
        if held_out is None:
            return None
        self._history.record_eval(held_out, step=step, epoch=epoch)
        name = "base" if step == 0 else f"step {step}"
        _log.info("%s: held-out loss %.4f nats a token", name, held_out.loss)
        best = self.progress.best
        if step and (best is None or held_out.loss < best[1]):
            self.progress.best = (step, held_out.loss)
        return held_out.loss

    def _poll(self) -> None:
        self._writer.check()
        if self._stop.requested:
            raise _InterruptedError

    def _commit_stop(self) -> None:
        """Commit the last completed step and end with 143."""
        self._writer.wait()
        name = f"step_{self.progress.step}"
        if self.progress.step and not self._is_saved(name):
            self._commit([_checkpoint(name)])
            self._writer.wait()
        where = f"{name} is committed" if self.progress.step else "no step was done"
        raise StoppedError(
            f"stopped by {self._stop.requested}; {where}",
            fix="run it again: it goes on from there and ends with the same bits",
        )

    def _is_saved(self, name: str) -> bool:
        """Tell whether a checkpoint of this step is there and whole; it then says the same."""
        try:
            read_manifest(self.folder / name)
        except DamagedError:
            return False
        saved = json.loads((self.folder / name / PROGRESS).read_bytes())
        return bool(saved["pending"] == self.progress.pending)

    def _result(self) -> TrainResult:
        progress = self.progress
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
            wall_s=round(time.monotonic() - self._began, 1),
            checkpoint_wait_s=round(self._waited_s, 3),
            ended_early=progress.ended,
            converged_step=progress.converged_step,
            micro_batch_rows=progress.micro_batch_rows,
        )

    @property
    def _steps_per_epoch(self) -> int:
        return steps_in_epoch(self.train_dataloader, self.config.training)


class _InterruptedError(Exception):
    """A signal was noted; raised only where nothing is half done."""


def device_type() -> str:
    """Return `cuda` where a GPU can be used, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bf16() -> bool:
    """Tell whether the device computes in bfloat16; every CPU does, if slowly."""
    return device_type() == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def _step_from_json(record: Mapping[str, Any]) -> StepResult:
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in record.items()}
    return StepResult(**values)


def _memory(device: torch.device) -> dict[str, float]:
    """Return bytes in use and at most so far: of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return {
            "memory_bytes": torch.cuda.memory_allocated(device),
            "memory_peak_bytes": torch.cuda.max_memory_allocated(device),
        }
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "memory_bytes": pages * resource.getpagesize(),
        "memory_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
