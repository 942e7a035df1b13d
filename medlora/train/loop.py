"""The loop: batches in, one result for each optimizer step out; policy is the caller's.

B rows in a micro-batch, T positions; a step is up to `gradient_accumulation_steps` of them.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from medlora.config import TrainingConfig
from medlora.errors import ConfigError, DivergedError
from medlora.train.loss import count_targets, step_loss
from medlora.train.optim import learning_rate, set_learning_rate

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one optimizer step did."""

    step: int  # counted from 1
    epoch: float  # passes over the data so far, e.g. 1.5
    loss: float  # nats a target, over the whole step
    learning_rate: float
    grad_norm: float  # before clipping
    tokens: int  # of this step, padding not counted
    targets: int  # of this step
    skipped: bool = False  # the loss scaler found Inf and left the weights alone


def steps_in_epoch(loader: DataLoader[Batch], cfg: TrainingConfig) -> int:
    """Return the optimizer steps of one epoch; the last may have fewer micro-batches."""
    return -(-len(loader) // cfg.gradient_accumulation_steps)


def total_steps(loader: DataLoader[Batch], cfg: TrainingConfig) -> int:
    """Return the optimizer steps of the whole run."""
    planned = steps_in_epoch(loader, cfg) * cfg.num_train_epochs
    return min(planned, cfg.max_steps or planned)


def train_steps(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: AdamW,
    loader: DataLoader[Batch],
    cfg: TrainingConfig,
) -> Iterator[StepResult]:
    """Train and yield after each step; model and optimizer come from `accelerator.prepare`.

    The learning rate is a function of the step and dropout one of (seed, step, micro-batch),
    so that a step computes the same whatever happened before it.

    Raises:
        DivergedError: the loss is NaN or Inf; the step was not taken.
        DataError: a step has no target.
    """
    last, step, per_epoch = total_steps(loader, cfg), 0, steps_in_epoch(loader, cfg)
    for epoch in range(cfg.num_train_epochs):
        set_epoch(loader, epoch)
        for index, parts in enumerate(_groups(loader, cfg.gradient_accumulation_steps), start=1):
            if step == last:
                return
            rate = learning_rate(step, total_steps=last, cfg=cfg)
            set_learning_rate(optimizer, rate)
            loss, norm = _take_step(accelerator, model, optimizer, parts, cfg=cfg, step=step)
            step += 1
            yield StepResult(
                step=step,
                epoch=epoch + index / per_epoch,
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                tokens=sum(int(part["attention_mask"].sum()) for part in parts),
                targets=sum(count_targets(part["labels"]) for part in parts),
                skipped=bool(getattr(optimizer, "step_was_skipped", False)),
            )


def set_epoch(loader: DataLoader[Batch], epoch: int) -> None:
    """Tell a loader's sampler which epoch comes, if it wants to know."""
    for sampler in (loader.batch_sampler, loader.sampler):
        choose = getattr(sampler, "set_epoch", None)
        if choose:
            choose(epoch)


def seed_micro_batch(seed: int, *, step: int, index: int) -> None:
    """Seed dropout for one micro-batch, a pure function of (seed, step, index)."""
    digest = hashlib.sha256(f"{seed}/{step}/{index}".encode()).digest()
    number = int.from_bytes(digest[:8], "little") >> 1
    # The CPU's generator alone: torch.manual_seed also walks through every backend (60x slower).
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(number)


def _groups(loader: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group


def _take_step(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: AdamW,
    parts: list[Batch],
    *,
    cfg: TrainingConfig,
    step: int,
) -> tuple[float, float]:
    """Return (loss in nats a target, gradient norm before clipping) of one optimizer step."""
    targets = sum(count_targets(part["labels"]) for part in parts)
    total = torch.zeros((), device=accelerator.device)
    for index, part in enumerate(parts):
        seed_micro_batch(cfg.seed, step=step, index=index)
        batch = {name: tensor.to(accelerator.device) for name, tensor in part.items()}
        logits = forward(model, batch)
        share = step_loss(logits, batch["labels"], step_targets=targets)
        # Not through Accelerator(gradient_accumulation_steps=...): that would divide again.
        accelerator.backward(share)
        total += share.detach()
    loss = float(total)
    if not math.isfinite(loss):
        optimizer.zero_grad()
        raise DivergedError(
            f"step {step + 1}: the loss is {loss}",
            fix="lower training.learning_rate, lengthen the warm-up, or use bf16 instead of fp16",
        )
    norm = _clip(accelerator, model, cfg.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return loss, norm


def forward(model: nn.Module, batch: Batch) -> Tensor:
    """Return the logits of a batch, float [B, T, V].

    Raises:
        ConfigError: a token id does not exist in the model.
    """
    try:
        output = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        )
    except IndexError:
        raise ConfigError(
            "a token's id is beyond the model's vocabulary",
            fix="use the tokenizer that belongs to the base model",
        ) from None
    logits: Tensor = output.logits
    return logits


def _clip(accelerator: Accelerator, model: nn.Module, max_norm: float) -> float:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norm = accelerator.clip_grad_norm_(parameters, max_norm or math.inf)
    return float(norm)
