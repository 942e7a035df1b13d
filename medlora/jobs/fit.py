"""The seed's trainer: the loop of `train.loop` with evaluation, best and epoch checkpoints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.store import save_checkpoint
from medlora.config import RunConfig, from_mapping
from medlora.evaluate.loss import HeldOut, held_out_loss
from medlora.files import make_folder
from medlora.logs import logger
from medlora.report.history import History
from medlora.report.progress import Progress
from medlora.train.loop import StepResult, steps_in_epoch, total_steps, train_steps
from medlora.train.optim import build_optimizer
from medlora.train.precision import choose_precision

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a whole run came to; losses in nats a target, None without evaluation rows."""

    steps: int
    train_loss: float  # mean over all targets of the last epoch's steps
    base_eval_loss: float | None
    eval_loss: float | None
    best_eval_loss: float | None
    best_step: int | None
    skipped_steps: int


class MedicalLoRATrainer:
    """Train a PEFT model's adapter; `train()` does all of it, `steps()` yields each step.

    Writes `best_model/`, `epoch_N/`, `step_N/` and `metrics.jsonl` into
    `<output_dir>/<run_name>`, each checkpoint whole or not at all.

    Args:
        model: a PeftModel whose adapter alone trains; moved to the GPU if there is one.
        tokenizer: saved with each checkpoint.
        train_dataloader: yields dicts of int64 [B, T]: input_ids, attention_mask, labels
            (-100 where no loss is).  Its sampler's `set_epoch`, if any, is called.
        eval_dataloader: the same for held-out rows.
        config: a RunConfig or a dict of the same keys; defaults where None.

    Raises:
        ConfigError: the config or the device cannot do what was asked.
    """

    def __init__(
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        train_dataloader: DataLoader[dict[str, Tensor]],
        eval_dataloader: DataLoader[dict[str, Tensor]] | None = None,
        config: RunConfig | Mapping[str, Any] | None = None,
    ) -> None:
        self.config = _validated(config)
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
        self.optimizer = build_optimizer(model.parameters(), cfg)
        self.model, self.optimizer = self.accelerator.prepare(model, self.optimizer)
        self.folder = Path(cfg.output_dir) / self.config.run_name
        self._best: tuple[int, float] | None = None

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return total_steps(self.train_dataloader, self.config.training)

    def steps(self) -> Iterator[StepResult]:
        """Train, yielding after each optimizer step; nothing is saved or evaluated."""
        self.model.train()
        yield from train_steps(
            self.accelerator,
            self.model,
            self.optimizer,
            self.train_dataloader,
            self.config.training,
        )

    def evaluate(self) -> HeldOut | None:
        """Return the held-out loss in nats a target, None without evaluation rows."""
        if self.eval_dataloader is None:
            return None
        return held_out_loss(self.model, self.eval_dataloader, device=self.accelerator.device)

    def train(self) -> TrainResult:
        """Train to the end: evaluate and save when due, keep the best, return the outcome."""
        make_folder(self.folder)
        history = History(self.folder)
        base = self._evaluated(history, step=0, epoch=0.0)
        total, latest, skipped = self.total_steps, base, 0
        results: list[StepResult] = []
        with Progress(total, every=self.config.training.logging_steps) as progress:
            for result in self.steps():
                progress.show(result)
                skipped += result.skipped
                results.append(result)
                due = self._due(result.step, total)
                if due["log"]:
                    history.record_step(result)
                if due["evaluate"]:
                    latest = self._evaluated(history, step=result.step, epoch=result.epoch)
                if due["save"]:
                    self.save(f"step_{result.step}", step=result.step)
                if due["epoch"]:
                    self.save(f"epoch_{round(result.epoch)}", step=result.step)
        best_step, best_loss = self._best or (None, None)
        return TrainResult(
            steps=len(results),
            train_loss=_mean_loss(results[-self._steps_per_epoch :]),
            base_eval_loss=base.loss if base else None,
            eval_loss=latest.loss if latest else None,
            best_eval_loss=best_loss,
            best_step=best_step,
            skipped_steps=skipped,
        )

    def save(self, name: str, *, step: int, facts: Mapping[str, Any] | None = None) -> Path:
        """Write the adapter and tokenizer as a checkpoint of this run; return its folder.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        folder = self.folder / name
        stated = {"kind": "checkpoint", "step": step, **(facts or {})}
        save_checkpoint(folder, self._bare, self.tokenizer, facts=stated)
        return folder

    @property
    def _steps_per_epoch(self) -> int:
        return steps_in_epoch(self.train_dataloader, self.config.training)

    def _due(self, step: int, total: int) -> dict[str, bool]:
        """Tell what comes after a step; the last one is always logged and evaluated."""
        cfg, last = self.config.training, step == total
        epoch_ends = step % self._steps_per_epoch == 0
        return {
            "log": last or step % cfg.logging_steps == 0,
            "evaluate": last or epoch_ends or step % cfg.eval_steps == 0,
            "save": step % cfg.save_steps == 0,
            "epoch": epoch_ends and step // self._steps_per_epoch % cfg.save_epochs == 0,
        }

    def _evaluated(self, history: History, *, step: int, epoch: float) -> HeldOut | None:
        held_out = self.evaluate()
        if held_out is None:
            return None
        history.record_eval(held_out, step=step, epoch=epoch)
        name = "base" if step == 0 else f"step {step}"
        _log.info("%s: held-out loss %.4f nats a token", name, held_out.loss)
        if step and (self._best is None or held_out.loss < self._best[1]):
            self._best = (step, held_out.loss)
            self.save("best_model", step=step, facts={"eval_loss": held_out.loss})
        return held_out


def device_type() -> str:
    """Return `cuda` where a GPU can be used, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bf16() -> bool:
    """Tell whether the device computes in bfloat16; every CPU does, if slowly."""
    return device_type() == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def _validated(config: RunConfig | Mapping[str, Any] | None) -> RunConfig:
    if isinstance(config, RunConfig):
        return config
    return from_mapping(config or {})


def _mean_loss(results: list[StepResult]) -> float:
    """Return the loss over the targets of several steps, nats a target."""
    targets = sum(result.targets for result in results)
    return sum(result.loss * result.targets for result in results) / max(1, targets)
