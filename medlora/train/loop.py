"""The loop: batches in, one result for each optimizer step out; policy is the caller's.

B rows in a micro-batch, T positions; a step is up to `gradient_accumulation_steps` of them.
"""

import hashlib
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from medlora.config import TrainingConfig
from medlora.data.batches import EpochBatches
from medlora.errors import ConfigError
from medlora.logs import logger
from medlora.train.loss import count_targets, step_loss
from medlora.train.memory import Batch, Fit, is_out_of_memory, pieces_of
from medlora.train.optim import learning_rate, set_learning_rate

_log = logger(__name__)


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
    skipped: bool = False  # loss or gradient was not finite: the weights are as before


def steps_in_epoch(loader: DataLoader[Batch], cfg: TrainingConfig) -> int:
    """Return the optimizer steps of one epoch; the last may have fewer micro-batches."""
    return -(-len(loader) // cfg.gradient_accumulation_steps)


def total_steps(loader: DataLoader[Batch], cfg: TrainingConfig) -> int:
    """Return the optimizer steps of the whole run."""
    planned = steps_in_epoch(loader, cfg) * cfg.num_train_epochs
    return min(planned, cfg.max_steps or planned)


def train_steps(  # noqa: PLR0913  (what a loop is made of)
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: AdamW,
    loader: DataLoader[Batch],
    cfg: TrainingConfig,
    *,
    start: int = 0,
    poll: Callable[[], None] = lambda: None,
    fit: Fit | None = None,
) -> Iterator[StepResult]:
    """Train and yield after each step; model and optimizer come from `accelerator.prepare`.

    The batches, the learning rate and dropout of a step are pure functions of (seed, step), so
    that it computes the same bits whatever happened before it, in this process or another.

    Args:
        accelerator: decides device and precision.
        model: the adapted model.
        optimizer: over its trainable parameters.
        loader: the micro-batches; its sampler's `set_epoch`, if any, is called.
        cfg: the training section.
        start: steps that are done already.
        poll: called before each micro-batch and before the weights change; what it raises
            leaves the weights as they were after the last completed step.
        fit: shrinks, and stays so, when memory runs out; the step is then done in smaller
            pieces.

    Raises:
        DataError: a step has no target.
        OutOfMemoryError: a single row does not fit.
    """
    last, per_epoch = total_steps(loader, cfg), steps_in_epoch(loader, cfg)
    size, fit = cfg.gradient_accumulation_steps, fit or Fit()
    for step in range(start, last):
        epoch, index = divmod(step, per_epoch)
        if step == start or index == 0:
            seed_epoch = partial(_seed_everything, cfg.seed, step=step - index)
            batches = _open_epoch(loader, epoch=epoch, start=index * size, seed=seed_epoch)
        _seed_everything(cfg.seed, step=step)
        parts = list(islice(batches, size))
        rate = learning_rate(step, total_steps=last, cfg=cfg)
        set_learning_rate(optimizer, rate)
        loss, norm, taken = _take_step_that_fits(
            accelerator, model, optimizer, parts, cfg=cfg, step=step, poll=poll, fit=fit
        )
        yield StepResult(
            step=step + 1,
            epoch=epoch + (index + 1) / per_epoch,
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            tokens=sum(int(part["attention_mask"].sum()) for part in parts),
            targets=sum(count_targets(part["labels"]) for part in parts),
            skipped=not taken,
        )


def _open_epoch(
    loader: DataLoader[Batch], *, epoch: int, start: int, seed: Callable[[], None]
) -> Iterator[Batch]:
    """Return the micro-batches of an epoch, from the `start`-th on.

    Our own sampler jumps there.  With any other the batches before it are read and passed
    over, from the random state that `seed` sets, so that a shuffling sampler repeats itself.
    """
    if isinstance(loader.batch_sampler, EpochBatches):
        loader.batch_sampler.set_epoch(epoch, start=start)
        return iter(loader)
    for sampler in (loader.batch_sampler, loader.sampler):
        choose = getattr(sampler, "set_epoch", None)
        if choose:
            choose(epoch)
    batches = iter(loader)  # draws a number of its own
    seed()
    deque(islice(batches, start), maxlen=0)
    return batches


def _seed_everything(seed: int, *, step: int) -> None:
    """Seed what a data set or a collator may draw from, a pure function of (seed, step)."""
    number = _seed_of(seed, step, "data")
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002  (the global state that others draw from)
    torch.default_generator.manual_seed(number)


def seed_micro_batch(seed: int, *, step: int, index: int) -> None:
    """Seed dropout for one micro-batch, a pure function of (seed, step, index)."""
    number = _seed_of(seed, step, index)
    # The CPU's generator alone: torch.manual_seed also walks through every backend (60x slower).
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(number)


def _seed_of(*parts: object) -> int:
    """Return 63 bits that depend on every part."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _take_step_that_fits(  # noqa: PLR0913
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: AdamW,
    parts: list[Batch],
    *,
    cfg: TrainingConfig,
    step: int,
    poll: Callable[[], None],
    fit: Fit,
) -> tuple[float, float, bool]:
    """Take a step, in smaller pieces for as long as memory runs out."""
    while True:
        pieces = pieces_of(parts, fit.rows)
        try:
            return _take_step(accelerator, model, optimizer, pieces, cfg=cfg, step=step, poll=poll)
        except BaseException as error:
            optimizer.zero_grad()
            if not is_out_of_memory(error):
                raise
        # Outside of the handler, which keeps the failed pass's tensors alive.
        fit.shrink(pieces)
        _log.warning("out of memory: on with at most %d rows in a micro-batch", fit.rows)


def _take_step(  # noqa: PLR0913
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: AdamW,
    parts: list[Batch],
    *,
    cfg: TrainingConfig,
    step: int,
    poll: Callable[[], None],
) -> tuple[float, float, bool]:
    """Return (loss in nats a target, gradient norm before clipping, whether it was taken).

    A step whose loss or gradient is not finite is not taken.
    """
    targets = sum(count_targets(part["labels"]) for part in parts)
    total = torch.zeros((), device=accelerator.device)
    for index, part in enumerate(parts):
        poll()
        seed_micro_batch(cfg.seed, step=step, index=index)
        batch = {name: tensor.to(accelerator.device) for name, tensor in part.items()}
        logits = forward(model, batch)
        share = step_loss(logits, batch["labels"], step_targets=targets)
        # Not through Accelerator(gradient_accumulation_steps=...): that would divide again.
        accelerator.backward(share)
        total += share.detach()
    loss, norm = float(total), _clip(accelerator, model, cfg.max_grad_norm)
    poll()
    # A loss scaler finds Inf in the gradient by itself, skips, and must be stepped to recover.
    scaled = accelerator.scaler is not None
    if math.isfinite(loss) and (math.isfinite(norm) or scaled):
        optimizer.step()
        taken = not getattr(optimizer, "step_was_skipped", False)
    else:
        taken = False
    optimizer.zero_grad()
    return loss, norm, taken


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
