"""When a run ends before its last step: it diverged, stands still, or has converged.

The verdicts are `train.stopping`'s; what they need to know across attempts is in the progress.
"""

import math

import torch
from torch import nn

from medlora.checkpoint.state import Progress
from medlora.config import TrainingConfig
from medlora.errors import DivergedError
from medlora.logs import logger
from medlora.train.loop import StepResult
from medlora.train.stopping import EarlyStopping, detect_convergence

_log = logger(__name__)


def check_base_computes(model: nn.Module, *, is_finite: bool) -> None:
    """Refuse a base of which no number is finite, before anything else is said of it.

    Raises:
        DivergedError: names the weight that is the cause, if one is.
    """
    if is_finite:
        return
    _refuse_broken_weights(model)
    raise DivergedError(
        "every number that this base computes is NaN or Inf, although its weights are finite",
        fix="compare its config.json with that of the source (rms_norm_eps, rope_parameters), or "
        "take another precision (model.dtype: bfloat16 has the range that float16 lacks)",
    )


def check_base_loss(loss: float | None, model: nn.Module) -> None:
    """Refuse a base whose own held-out loss is not finite because its weights are not.

    Raises:
        DivergedError: names the first such weight; no learning rate helps.
    """
    if loss is not None and not math.isfinite(loss):
        _refuse_broken_weights(model)


def _refuse_broken_weights(model: nn.Module) -> None:
    broken = [
        _own_name(name)
        for name, weight in model.named_parameters()
        if not weight.requires_grad and not _is_finite(weight)
    ]
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise DivergedError(
            f"the base's weight {broken[0]} is not finite (NaN or Inf){more}",
            fix="copy the base model again, or set model.dtype: bfloat16 (float16 may overflow); "
            "no training setting can fix this",
        )


def _own_name(name: str) -> str:
    """Return a weight's name in the base itself, without what PEFT puts around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _is_finite(weight: torch.Tensor) -> bool:
    return not weight.is_floating_point() or bool(torch.isfinite(weight.detach()).all())


def check_diverged(
    progress: Progress, result: StepResult, cfg: TrainingConfig, *, model: nn.Module
) -> None:
    """Refuse to go on after too many steps in a row that were not finite.

    Raises:
        DivergedError: this was one too many; says so if it is the base's fault.
    """
    if progress.skipped_in_a_row < cfg.max_skipped_steps:
        return
    _refuse_broken_weights(model)
    skipped = progress.skipped_in_a_row
    steps = f"{skipped} steps in a row were" if skipped > 1 else "the step was"
    raise DivergedError(
        f"step {result.step}: the loss is {result.loss}; {steps} skipped because loss or gradient "
        "was not finite, and training stopped",
        fix="lower training.learning_rate, lengthen the warm-up, or use bf16 instead of fp16",
    )


def note_standstill(progress: Progress, eval_loss: float | None, cfg: TrainingConfig) -> None:
    """Note that held-out loss stands still, if the config wants to know."""
    if cfg.early_stopping_patience is None or eval_loss is None:
        return
    rule = EarlyStopping(cfg.early_stopping_patience, cfg.early_stopping_threshold)
    if progress.early_stopping:
        rule.load_state_dict(progress.early_stopping)
    if rule(eval_loss):
        progress.ended = f"no better held-out loss in {cfg.early_stopping_patience} evaluations"
    progress.early_stopping = rule.state_dict()


def note_convergence(progress: Progress, result: StepResult, cfg: TrainingConfig) -> None:
    """Note that the training loss is flat, once, if the config wants to know."""
    window = cfg.convergence_window
    if window is None or progress.converged_step is not None or result.skipped:
        return
    progress.recent_losses = [*progress.recent_losses, result.loss][-2 * window :]
    if detect_convergence(progress.recent_losses, window, cfg.convergence_threshold):
        progress.converged_step = result.step
        _log.info("step %d: the training loss has converged", result.step)
        if cfg.stop_on_convergence:
            progress.ended = "the training loss has converged"
