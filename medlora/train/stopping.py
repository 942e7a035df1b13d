"""When a run has learnt what it will: held-out loss that stands still, loss that flattens.

Losses in nats a target.  Both look and neither acts: what a verdict leads to is the job's policy.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict


class EarlyStoppingState(TypedDict):
    """What a checkpoint carries of an `EarlyStopping`."""

    best_loss: float | None  # None: no loss so far
    patience_counter: int
    should_stop: bool


class EarlyStopping:
    """Tell when `patience` evaluations in a row brought no new best loss.

    A loss is a new best when it is below the best so far by more than `min_delta`.  NaN and
    infinities never are.  The verdict is final: once `should_stop` is true it stays so.

    Args:
        patience: evaluations without a new best until the verdict, at least 1.
        min_delta: nats, at least 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.001) -> None:
        self.patience = _at_least_one("patience", patience)
        self.min_delta = _not_negative("min_delta", min_delta)
        self.best_loss = math.inf
        self.patience_counter = 0
        self.should_stop = False

    def __call__(self, eval_loss: float) -> bool:
        """Take the next evaluation's loss and return whether to stop."""
        if math.isfinite(eval_loss) and eval_loss < self.best_loss - self.min_delta:
            self.best_loss = float(eval_loss)
            self.patience_counter = 0
        else:
            self.patience_counter += 1
        self.should_stop = self.should_stop or self.patience_counter >= self.patience
        return self.should_stop

    def state_dict(self) -> EarlyStoppingState:
        """Return what a checkpoint has to carry, in JSON values."""
        return {
            # JSON has no infinity: None stands for "no loss so far".
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "patience_counter": self.patience_counter,
            "should_stop": self.should_stop,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where `state_dict` was taken; patience and min_delta stay those of this object.

        Raises:
            ValueError: this is no such state; nothing is changed.
        """
        match state:
            case {
                "best_loss": None | float() | int() as best,
                "patience_counter": int() as counter,
                "should_stop": bool() as stop,
            } if counter >= 0 and (best is None or math.isfinite(best)):
                self.best_loss = math.inf if best is None else float(best)
                self.patience_counter, self.should_stop = counter, stop
            case _:
                msg = f"not a state of EarlyStopping: {dict(state)}"
                raise ValueError(msg)


def detect_convergence(
    loss_history: Sequence[float], window_size: int = 10, threshold: float = 0.001
) -> bool:
    """Return whether the mean loss of the last window is hardly below that of the one before.

    Hardly: the improvement, as a share of the earlier mean's size, is below `threshold`.  A
    *rising* loss is a negative improvement and so counts as converged: more of the same
    training will not help there either.  A caller who must tell the two apart compares the means.

    False while there are fewer than two windows, and where they hold NaN or an infinity: a run
    that diverges has not converged.  After a mean of exactly 0 only a negative one is an
    improvement, and that is a large one.

    Args:
        loss_history: oldest first; only the last `2 * window_size` are looked at.
        window_size: losses in each window, at least 1.
        threshold: share of the earlier mean, at least 0.

    Raises:
        ValueError: an argument is out of its range.
    """
    size = _at_least_one("window_size", window_size)
    share = _not_negative("threshold", threshold)
    latest = [float(loss) for loss in loss_history[-2 * size :]]
    if len(latest) < 2 * size or not all(map(math.isfinite, latest)):
        return False
    older, recent = _mean(latest[:size]), _mean(latest[size:])
    if older == 0:
        return recent >= 0
    return (older - recent) / abs(older) < share


def _mean(losses: list[float]) -> float:
    # Divided first: the sum of large losses would overflow.
    return math.fsum(loss / len(losses) for loss in losses)


def _at_least_one(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{name} must be a whole number of at least 1 (got {value!r})"
        raise ValueError(msg)
    return value


def _not_negative(name: str, value: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        msg = f"{name} must be a number of at least 0 (got {value!r})"
        raise ValueError(msg)
    return float(value)
