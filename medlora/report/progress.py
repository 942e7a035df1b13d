"""Progress: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from medlora.logs import logger
from medlora.train.loop import StepResult

_log = logger(__name__)


class ProgressView:
    """Shows loss, running average and learning rate; a context manager."""

    def __init__(self, total_steps: int, *, every: int, terminal: bool | None = None) -> None:
        """Show on a terminal's bar, or every so many steps as a line."""
        self._total, self._every = total_steps, every
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bar = tqdm(total=total_steps, disable=not self._terminal, unit="step")
        self._sum, self._steps, self._tokens = 0.0, 0, 0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Start to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

    def show(self, result: StepResult) -> None:
        """Show one step."""
        self._sum += result.loss
        self._steps += 1
        self._tokens += result.tokens
        average = self._sum / self._steps
        self._bar.set_description(f"epoch {result.epoch:.2f}", refresh=False)
        self._bar.set_postfix_str(
            f"loss {result.loss:.4f}, avg {average:.4f}, lr {result.learning_rate:.2e}",
            refresh=False,
        )
        self._bar.update()
        if not self._terminal and (result.step % self._every == 0 or result.step == self._total):
            rate = self._tokens / max(time.monotonic() - self._started, 1e-9)
            _log.info(
                "step %d/%d  epoch %.2f  loss %.4f  avg %.4f  lr %.2e  %.0f tokens/s",
                result.step,
                self._total,
                result.epoch,
                result.loss,
                average,
                result.learning_rate,
                rate,
            )
