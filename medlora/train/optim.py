"""AdamW over the adapter, and the learning rate as a pure function of the step."""

import math
import re
from collections.abc import Callable, Iterable, Mapping

from torch import nn
from torch.optim import AdamW

from medlora.config import TrainingConfig

_MULTIPLIER = "lr_multiplier"  # key of a parameter group; saved and loaded with its state
_SECOND_FACTOR = re.compile(r"\blora_(embedding_)?B\b")


def build_optimizer(
    parameters: Iterable[nn.Parameter],
    cfg: TrainingConfig,
    *,
    multipliers: Mapping[nn.Parameter, float] | None = None,
    fused: bool = False,
) -> AdamW:
    """Return AdamW over the parameters that train; weight decay applies to all of them.

    Args:
        parameters: those that are frozen are left out.
        cfg: the training section.
        multipliers: parameters that learn at a multiple of the learning rate, as `loraplus`
            returns; each multiple makes a group, 1 for all that are not named.
        fused: one kernel for all parameters.  Not with a loss scaler: it would then skip steps
            inside of itself, unseen.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            multiplier = (multipliers or {}).get(parameter, 1.0)
            groups.setdefault(multiplier, []).append(parameter)
    optimizer = AdamW(
        [{"params": members, _MULTIPLIER: factor} for factor, members in groups.items()],
        betas=(cfg.adam_beta1, cfg.adam_beta2),
        eps=cfg.adam_epsilon,
        weight_decay=cfg.weight_decay,
        fused=fused,
    )
    set_learning_rate(optimizer, cfg.learning_rate)
    return optimizer


def loraplus(model: nn.Module, ratio: float | None) -> dict[nn.Parameter, float]:
    """Return the parameters that LoRA+ lets learn `ratio` times as fast; none without a ratio.

    The second factors of the update, and vectors (DoRA's magnitudes), which PEFT counts with
    them.  Unlike PEFT's, an embedding's B is no exception.
    Source: Hayou et al., "LoRA+: Efficient Low Rank Adaptation of Large Models", 2024;
    `peft.optimizers.create_loraplus_optimizer`.
    """
    if ratio is None:
        return {}
    return {
        parameter: ratio
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.ndim == 1 or _SECOND_FACTOR.search(name))
    }


def warmup_steps(cfg: TrainingConfig, *, total_steps: int) -> int:
    """Return the steps of warm-up; a share of the run is rounded up, as Hugging Face does."""
    if cfg.warmup_ratio is not None:
        return math.ceil(total_steps * cfg.warmup_ratio)
    return fitting_warmup(cfg.warmup_steps or 0, total_steps=total_steps)


def fitting_warmup(steps: int, *, total_steps: int) -> int:
    """Return so many steps, or a tenth of the run, rounded down, if it would end before its peak.

    A run on few rows would else never be trained at the learning rate that was asked for.
    """
    return steps if steps < total_steps else total_steps // 10


def learning_rate(step: int, *, total_steps: int, cfg: TrainingConfig) -> float:
    """Return the learning rate of a step, counted from 0.

    Linear from 0 to the peak during warm-up; then, by `lr_scheduler_type`, along half a cosine
    or a line to `min_lr_rate` of the peak at `total_steps`, or constant.  Source: the same
    convention as Hugging Face's `cosine_with_min_lr`, `linear` (whose floor is 0) and
    `constant_with_warmup`, so that runs can be compared step by step.
    """
    warmup = warmup_steps(cfg, total_steps=total_steps)
    if step < warmup:
        return cfg.learning_rate * step / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    above_floor = _DECAYS[cfg.lr_scheduler_type](min(1.0, progress))
    return cfg.learning_rate * (above_floor * (1 - cfg.min_lr_rate) + cfg.min_lr_rate)


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _line(progress: float) -> float:
    return 1 - progress


def _level(_progress: float) -> float:
    return 1.0


# What is left of the way from peak to floor, after a share of the steps behind the warm-up.
_DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": _half_cosine,
    "linear": _line,
    "constant": _level,
}


def set_learning_rate(optimizer: AdamW, rate: float) -> None:
    """Set the rate of every parameter group, times the group's own multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(_MULTIPLIER, 1.0)
