"""AdamW over the adapter, and the learning rate as a pure function of the step."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW

from medlora.config import TrainingConfig


def build_optimizer(parameters: Iterable[nn.Parameter], cfg: TrainingConfig) -> AdamW:
    """Return AdamW over the parameters that train; weight decay applies to all of them.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    return AdamW(
        trainable,
        lr=cfg.learning_rate,
        betas=(cfg.adam_beta1, cfg.adam_beta2),
        eps=cfg.adam_epsilon,
        weight_decay=cfg.weight_decay,
    )


def learning_rate(step: int, *, total_steps: int, cfg: TrainingConfig) -> float:
    """Return the learning rate of a step, counted from 0.

    Linear from 0 over `warmup_steps`, then half a cosine from the peak to
    `min_lr_rate` of it at `total_steps`.  Source: the same convention as Hugging Face's
    `cosine_with_min_lr` schedule, so that runs can be compared step by step.
    """
    if step < cfg.warmup_steps:
        return cfg.learning_rate * step / cfg.warmup_steps
    progress = (step - cfg.warmup_steps) / max(1, total_steps - cfg.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return cfg.learning_rate * (cosine * (1 - cfg.min_lr_rate) + cfg.min_lr_rate)


def set_learning_rate(optimizer: AdamW, rate: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
