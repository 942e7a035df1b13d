"""When a run ends before its last step: it diverged, stands still, or has converged.

The verdicts are `train.stopping`'s; what they need to know across attempts is in the progress.
"""

from medlora.checkpoint.state import Progress
from medlora.config import TrainingConfig
from medlora.errors import DivergedError
from medlora.logs import logger
from medlora.train.loop import StepResult
from medlora.train.stopping import EarlyStopping, detect_convergence

_log = logger(__name__)


def check_diverged(progress: Progress, result: StepResult, cfg: TrainingConfig) -> None:
    """Refuse to go on after too many steps in a row that were not finite.

    Raises:
        DivergedError: this was one too many.
    """
    if progress.skipped_in_a_row < cfg.max_skipped_steps:
        return
    raise DivergedError(
        f"step {result.step}: the loss is {result.loss}, for "
        f"{progress.skipped_in_a_row} steps in a row; none of them was taken",
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
