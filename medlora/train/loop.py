"""The loop: batches in, one result for each optimizer step out; policy is the caller's.

Our own loader yields the micro-batches of a whole step; of any other, each item is one, and
`gradient_accumulation_steps` of them make a step.
"""

import hashlib
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from medlora.config import TrainingConfig
from medlora.data.batches import EpochSteps, micro_batches
from medlora.data.micro_batches import Batch, count_tokens, move
from medlora.data.poisson import PoissonSteps
from medlora.distributed.gradient_sum import GradientSum
from medlora.distributed.team import Team
from medlora.errors import DataError, OutOfMemoryError
from medlora.logs import logger
from medlora.train.forward import Forward
from medlora.train.loss import count_targets
from medlora.train.optim import learning_rate, set_learning_rate
from medlora.train.step_in_pieces import RowLimit, is_out_of_memory, pieces_of

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


def steps_in_epoch(loader: DataLoader[Any], cfg: TrainingConfig) -> int:
    """Return the optimizer steps of one epoch; the last may have fewer rows."""
    return -(-len(loader) // _items_in_step(loader, cfg))


def _items_in_step(loader: DataLoader[Any], cfg: TrainingConfig) -> int:
    whole_steps = isinstance(getattr(loader, "batch_sampler", None), EpochSteps | PoissonSteps)
    return 1 if whole_steps else cfg.gradient_accumulation_steps


def total_steps(loader: DataLoader[Any], cfg: TrainingConfig) -> int:
    """Return the optimizer steps of the whole run."""
    planned = steps_in_epoch(loader, cfg) * cfg.num_train_epochs
    return min(planned, cfg.max_steps or planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """What computes each step of a run, the same throughout it.

    Attributes:
        accelerator: decides device and precision.
        optimizer: over the trainable parameters, from `accelerator.prepare`.
        forward: calls the model.
        cfg: the training section.
        team: the workers, each of which computes with the same.
    """

    accelerator: Accelerator
    optimizer: AdamW
    forward: Forward
    cfg: TrainingConfig
    team: Team = field(default_factory=Team)


@dataclass(frozen=True, slots=True)
class Step:
    """An optimizer step that is to be taken."""

    number: int  # counted from 0
    micro_batches: Sequence[Batch]
    poll: Callable[[], None]  # called before each micro-batch and before the weights change
    prefetch: Callable[[], None]  # called while the device still computes


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a step."""

    loss: float  # nats a target
    grad_norm: float  # before clipping
    skipped: bool  # loss or gradient was not finite: the weights are as before


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """Where a loop begins, and who is asked and told on its way.

    Attributes:
        start: steps that are done already.
        limit: shrinks, and stays so, when memory runs out; the step is then done in smaller
            pieces.
        poll: called before each micro-batch and before the weights change; what it raises
            leaves the weights as they were after the last completed step.
        taken: called with each step's result and the seconds that it took, before it is yielded.
    """

    start: int = 0
    limit: RowLimit = field(default_factory=RowLimit)
    poll: Callable[[], None] = lambda: None
    taken: Callable[[StepResult, float], None] = lambda _result, _seconds: None


def train_steps(
    computation: Computation, loader: DataLoader[Any], drive: Drive | None = None
) -> Iterator[StepResult]:
    """Train and yield after each step.

    The batches, the learning rate and dropout of a step are pure functions of (seed, step), and
    its micro-batches' gradients are added up in an order of their own, so that it computes the
    same bits whatever happened before it, in this process or another, and however many workers
    share its micro-batches.

    Args:
        computation: what computes a step.
        loader: steps or micro-batches; its sampler's `set_epoch`, if any, is called.
        drive: where it begins, and who is asked and told; from the first step where None.

    Raises:
        DataError: a step has no target.
        OutOfMemoryError: a single row does not fit.
        InterruptError: `poll` raised it on one of several workers.
        PeerLostError: a worker is gone.
    """
    cfg, drive, began = computation.cfg, drive or Drive(), time.monotonic()
    last, per_epoch = total_steps(loader, cfg), steps_in_epoch(loader, cfg)
    size = _items_in_step(loader, cfg)
    for number in range(drive.start, last):
        epoch, index = divmod(number, per_epoch)
        if number == drive.start or index == 0:
            seed_epoch = partial(_seed_everything, cfg.seed, step=number - index)
            batches = _Ahead(loader, _open_epoch(loader, epoch, index * size, seed=seed_epoch))
        _seed_everything(cfg.seed, step=number)
        parts = [part for item in islice(batches, size) for part in micro_batches(item)]
        rate = learning_rate(number, total_steps=last, cfg=cfg)
        set_learning_rate(computation.optimizer, rate)
        step, taken = Step(number, parts, drive.poll, batches.fetch), None
        while taken is None:
            taken = _take_step(computation, step, drive.limit)
        result = StepResult(
            step=number + 1,
            epoch=epoch + (index + 1) / per_epoch,
            loss=taken.loss,
            learning_rate=rate,
            grad_norm=taken.grad_norm,
            tokens=sum(map(count_tokens, parts)),
            targets=sum(count_targets(part["labels"]) for part in parts),
            skipped=taken.skipped,
        )
        drive.taken(result, time.monotonic() - began)
        yield result
        began = time.monotonic()


class _Ahead(Iterator[Any]):
    """Items of an epoch, one of them made while the device still computes.

    Only our own loader's, whose items are a pure function of (seed, epoch, position) and draw
    nothing: what another loader draws belongs after the step's own seed.
    """

    def __init__(self, loader: DataLoader[Any], items: Iterator[Any]) -> None:
        self._may = isinstance(loader.batch_sampler, EpochSteps)
        self._items, self._made = items, deque[Any]()

    def fetch(self) -> None:
        """Make the next item now, if there is one."""
        if self._may and not self._made:
            self._made.extend(islice(self._items, 1))

    def __next__(self) -> Any:  # noqa: ANN401
        return self._made.popleft() if self._made else next(self._items)


def _open_epoch(
    loader: DataLoader[Any], epoch: int, start: int, *, seed: Callable[[], None]
) -> Iterator[Any]:
    """Return what the loader yields in an epoch, from the `start`-th on.

    Our own sampler jumps there.  With any other the items before it are read and passed
    over, from the random state that `seed` sets, so that a shuffling sampler repeats itself.
    """
    if isinstance(loader.batch_sampler, EpochSteps):
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


def _take_step(computation: Computation, step: Step, limit: RowLimit) -> Taken | None:
    """Take a step, in pieces of as many rows as fit; None where fewer are to be tried now."""
    optimizer, team = computation.optimizer, computation.team
    pieces = pieces_of(step.micro_batches, limit.rows)
    targets = sum(count_targets(piece["labels"]) for piece in pieces)
    if targets < 1:
        raise DataError(
            f"all labels of step {step.number + 1} are -100",
            fix="give every batch labels other than -100",
        )
    gradients = GradientSum(
        _parameters(optimizer), team, fast=computation.cfg.gradient_reduction == "all_reduce"
    )
    full = (lambda _: False) if team.in_step else is_out_of_memory
    try:
        with team.all_gather_or_raise(full=full) as shares:
            pieced = replace(step, micro_batches=pieces)
            shares.extend(_add_gradients(computation, pieced, gradients, targets=targets))
            team.poll(step.poll)
        # From here on all workers take this step, or none does.
        gradients.give(len(pieces))
        return _change_weights(computation, loss=math.fsum(shares))
    except BaseException as error:
        optimizer.zero_grad()
        if not is_out_of_memory(error):
            raise
        if team.in_step:  # the others are in the middle of a pass that takes all
            raise OutOfMemoryError(
                "out of memory with sharded weights",
                fix="lower training.per_device_train_batch_size (and raise "
                "gradient_accumulation_steps), shorten data.max_length, or take more workers",
            ) from error
    # Outside of the handler, which keeps the failed pass's tensors alive.
    limit.shrink(pieces)
    _log.warning(
        "out of memory: micro-batches reduced to at most %d rows; training continues", limit.rows
    )
    return None


def _add_gradients(
    computation: Computation, step: Step, gradients: GradientSum, *, targets: int
) -> list[float]:
    """Add up the gradients of this worker's micro-batches; return their losses' shares.

    Args:
        computation: what computes.
        step: has all workers' micro-batches.
        gradients: adds up.
        targets: of the whole step, by which each share is divided.
    """
    accelerator, team, parts = computation.accelerator, computation.team, step.micro_batches
    shares, own = list[Tensor](), team.share(len(parts))
    for turn in range(team.turns(len(parts))):
        team.poll(step.poll)
        index = own[turn] if turn < len(own) else 0  # where others need this one's weights
        seed_micro_batch(computation.cfg.seed, step=step.number, index=index)
        batch = move(parts[index], accelerator.device)
        share = computation.forward.nats(batch) / targets
        # Not through Accelerator(gradient_accumulation_steps=...): that would divide again.
        accelerator.backward(share)
        if turn < len(own):
            gradients.take(index)
            shares.append(share.detach())
        else:
            computation.optimizer.zero_grad()
    step.prefetch()  # a GPU is still at work until somebody asks for a number
    return torch.stack(shares).tolist() if shares else []


def _change_weights(computation: Computation, *, loss: float) -> Taken:
    """Clip the gradient and take the step; not one whose loss or gradient is not finite."""
    accelerator, optimizer = computation.accelerator, computation.optimizer
    norm = _clip(accelerator, optimizer, computation.cfg.max_grad_norm)
    # A loss scaler finds Inf in the gradient by itself, skips, and must be stepped to recover.
    scaled = accelerator.scaler is not None
    taken = math.isfinite(loss) and (math.isfinite(norm) or scaled)
    if taken:
        optimizer.step()
        taken = not getattr(optimizer, "step_was_skipped", False)
    optimizer.zero_grad()
    return Taken(loss, norm, skipped=not taken)


def _clip(accelerator: Accelerator, optimizer: AdamW, max_norm: float) -> float:
    norm = accelerator.clip_grad_norm_(_parameters(optimizer), max_norm or math.inf)
    return float(norm)


def _parameters(optimizer: AdamW) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
