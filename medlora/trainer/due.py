"""What is due after a step: to log, to evaluate, to ask, to save."""

from dataclasses import dataclass

from medlora.config import TrainingConfig
from medlora.train.loop import StepResult


@dataclass(frozen=True, slots=True)
class Due:
    """What a step asks for; a pure function of its number, so that a resumed run asks the same."""

    log: bool
    evaluate: bool
    ask: bool
    save: bool
    save_epoch: bool


def due_after(
    result: StepResult, cfg: TrainingConfig, *, total_steps: int, steps_per_epoch: int
) -> Due:
    """Tell what comes after a step; the last one is always logged, evaluated and asked."""
    step, asks = result.step, cfg.generation_steps is not None
    last, epoch_ends = step == total_steps, step % steps_per_epoch == 0
    return Due(
        log=last or result.skipped or step % cfg.logging_steps == 0,
        evaluate=last or epoch_ends or step % cfg.eval_steps == 0,
        ask=asks and (last or step % (cfg.generation_steps or 1) == 0),
        save=step % cfg.save_steps == 0,
        save_epoch=epoch_ends and step // steps_per_epoch % cfg.save_epochs == 0,
    )
