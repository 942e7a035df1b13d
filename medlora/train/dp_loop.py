"""The private loop: DP-SGD.  Whether any one row was there changes what comes out only a little.

A step draws each row with the same chance, clips each drawn row's gradient to a norm C, adds
noise of standard deviation sigma C to the sum, and divides by the rows that a step has on average.

    gradient = (sum over drawn rows of g_b min(1, C / |g_b|) + N(0, sigma^2 C^2)) / rows expected

- A row's loss is the mean over its own targets.  A mean over the batch's targets would let the
  length of one row change the weight of all others, and the clipping would bound nothing.
- Draws, dropout and noise come from the system's entropy: whoever knows the seed of one of them can
  take its protection away, and `training.seed` is in the manifest.  So nothing of this can
  be repeated, and the random states are kept nowhere.
- The noise is NumPy's, from 256 bits: torch's generator on a CPU has 2^32 states to try.  It is
  no cryptographic generator, and floats have a grid; both are limits of Opacus's default as well.
- No step is ever left out for what it computed: a row whose gradient is not finite adds nothing.

Source: Abadi et al., "Deep Learning with Differential Privacy", 2016, algorithm 1.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from medlora.data.batches import micro_batches
from medlora.data.micro_batches import IGNORE, Batch, count_rows, count_tokens, move
from medlora.logs import logger
from medlora.train.forward import Forward
from medlora.train.loop import Computation, Drive, StepResult, steps_in_epoch, total_steps
from medlora.train.loss import count_targets
from medlora.train.optim import learning_rate, set_learning_rate
from medlora.train.privacy_budget import Budget
from medlora.train.rowgrads import RowGradients
from medlora.train.step_in_pieces import is_out_of_memory, pieces_of

_log = logger(__name__)
RowGrads = dict[Tensor, Tensor]


def system_entropy() -> np.random.Generator:
    """Return a source of numbers that nobody can foresee or repeat."""
    return np.random.Generator(np.random.PCG64DXSM(secrets.randbits(256)))


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What makes a step private."""

    budget: Budget  # clipping, noise and rate
    gradients: RowGradients  # watches the model
    entropy: np.random.Generator  # where the noise comes from


def private_steps(
    computation: Computation, loader: DataLoader[Any], mechanism: Mechanism, drive: Drive
) -> Iterator[StepResult]:
    """Train and yield after each step, as `train_steps` does; of a step without rows, loss 0.

    Loss and counts are those of the drawn rows, without noise: they are for the owner of the
    rows.  The gradient's norm is the noisy one's.

    Args:
        computation: what computes a step, its optimizer over the adapter's parameters.
        loader: of `data.poisson`.
        mechanism: clips and adds noise.
        drive: as for `train_steps`.

    Raises:
        OutOfMemoryError: a single row does not fit.
    """
    cfg, optimizer, began = computation.cfg, computation.optimizer, time.monotonic()
    last, per_epoch = total_steps(loader, cfg), steps_in_epoch(loader, cfg)
    batches: Iterator[Any] = iter(())
    for number in range(drive.start, last):
        _forget_seeds()
        parts = _next_parts(batches)
        if parts is None:
            batches = iter(loader)  # may draw a number of its own
            _forget_seeds()
            parts = _next_parts(batches) or []
        rate = learning_rate(number, total_steps=last, cfg=cfg)
        set_learning_rate(optimizer, rate)
        sums, nats = _sum_that_fits(computation, mechanism, parts, drive)
        drive.poll()
        norm = _take_noisy_step(optimizer, sums, mechanism)
        targets = sum(count_targets(part["labels"]) for part in parts)
        result = StepResult(
            step=number + 1,
            epoch=(number + 1) / per_epoch,
            loss=nats / targets if targets else 0.0,
            learning_rate=rate,
            grad_norm=norm,
            tokens=sum(map(count_tokens, parts)),
            targets=targets,
        )
        drive.taken(result, time.monotonic() - began)
        yield result
        began = time.monotonic()


def _next_parts(batches: Iterator[Any]) -> list[Batch] | None:
    item = next(batches, None)
    return None if item is None else micro_batches(item)


def _forget_seeds() -> None:
    """Let dropout draw what no seed tells."""
    number = secrets.randbits(63)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(number)


def _sum_that_fits(
    computation: Computation, mechanism: Mechanism, parts: list[Batch], drive: Drive
) -> tuple[RowGrads, float]:
    """Return the sum of the clipped gradients and the loss, in smaller pieces where needed."""
    device, max_norm = computation.accelerator.device, mechanism.budget.max_grad_norm
    while True:
        pieces = pieces_of(parts, drive.limit.rows)
        sums: RowGrads = {}
        nats = 0.0
        try:
            for piece in pieces:
                drive.poll()
                clipped, share = clipped_sum(
                    mechanism.gradients,
                    computation.forward,
                    move(piece, device),
                    max_norm=max_norm,
                )
                nats += share
                for parameter, value in clipped.items():
                    sums[parameter] = sums[parameter] + value if parameter in sums else value
        except BaseException as error:
            if not is_out_of_memory(error):
                raise
        else:
            return sums, nats
        drive.limit.shrink(pieces)
        rows = drive.limit.rows
        _log.warning(
            "out of memory: micro-batches reduced to at most %d rows; training continues", rows
        )


def clipped_sum(
    gradients: RowGradients, forward: Forward, batch: Batch, *, max_norm: float
) -> tuple[RowGrads, float]:
    """Return ({parameter: sum of the rows' clipped gradients}, summed loss in nats).

    Args:
        gradients: watches the model.
        forward: calls it.
        batch: padded rows.
        max_norm: of each row's gradient over all parameters.
    """
    nats = forward.nats(batch)
    row_gradients = gradients.take(nats.backward, rows=count_rows(batch))
    # The loss is a sum over targets: a row's share of its own mean is its gradient / its targets.
    targets = (batch["labels"][:, 1:] != IGNORE).sum(1).clamp(min=1)
    norms = torch.stack(
        [gradient.flatten(1).norm(dim=1) for gradient in row_gradients.values()]
    ).norm(dim=0)
    norms = norms / targets
    factors = max_norm / norms.clamp(min=max_norm) / targets
    factors = factors.where(norms.isfinite(), 0.0)
    return {
        parameter: torch.einsum("b,b...->...", factors, gradient.nan_to_num(0.0, 0.0, 0.0))
        for parameter, gradient in row_gradients.items()
    }, float(nats.detach())


def _take_noisy_step(optimizer: AdamW, sums: RowGrads, mechanism: Mechanism) -> float:
    """Add the noise, take the step; return the noisy gradient's norm."""
    budget, gradients = mechanism.budget, mechanism.gradients
    deviation = budget.noise_multiplier * budget.max_grad_norm
    for parameter in gradients.parameters:
        noise = torch.from_numpy(
            mechanism.entropy.standard_normal(parameter.shape, dtype=np.float32)
        )
        noisy = noise.to(parameter.device) * deviation
        if parameter in sums:
            noisy += sums[parameter]
        parameter.grad = (noisy / budget.step_rows).to(parameter.dtype)
    norm = _norm(gradients.parameters)
    optimizer.step()
    optimizer.zero_grad()
    return norm


def _norm(parameters: Sequence[nn.Parameter]) -> float:
    norms = [
        parameter.grad.float().norm() for parameter in parameters if parameter.grad is not None
    ]
    return float(torch.stack(norms).norm())
