"""Cross-entropy of one optimizer step, weighted by token.

A step is several micro-batches with unequal numbers of targets.  A mean of their means would
let a 5-token answer weigh as much as a 500-token one, so each micro-batch adds its *sum*,
divided once by the targets of the whole step.

Shapes: B sequences, T positions, V vocabulary entries.
Source: mean over targets = sum over micro-batches of (their sum / all targets); described by
Hugging Face in "Fixing Gradient Accumulation", 2024-10-16.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

from medlora.data.batches import IGNORE
from medlora.errors import DataError


def count_targets(labels: Tensor) -> int:
    """Return how many next-token targets carry loss.

    Args:
        labels: int64 [B, T]; `IGNORE` on prompt and padding.
    """
    return int((labels[:, 1:] != IGNORE).sum())


def summed_nats(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed loss of a micro-batch in nats, float32 [].

    Args:
        logits: float [B, T, V], any float type; summed in float32.
        labels: int64 [B, T], not shifted.
    """
    return cross_entropy(
        logits[:, :-1].flatten(0, 1).float(),
        labels[:, 1:].flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )


def step_loss(logits: Tensor, labels: Tensor, *, step_targets: int) -> Tensor:
    """Return this micro-batch's share of the step's loss, in nats a target.

    Shares of one step add up to the step's mean, so neither loss nor gradient depends on how
    the step was split.

    Args:
        logits: float [B, T, V], any float type.
        labels: int64 [B, T], not shifted.
        step_targets: `count_targets` added over the step's micro-batches.

    Raises:
        DataError: the step has nothing to learn from.
    """
    if step_targets < 1:
        raise DataError(
            f"a step of {labels.shape[0]} x {labels.shape[1]} tokens has no target",
            fix="give every batch labels other than -100",
        )
    return summed_nats(logits, labels) / step_targets
