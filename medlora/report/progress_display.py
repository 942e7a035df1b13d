"""Progress of a run: a live view on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from medlora import logs
from medlora.report.progress_snapshot import Seen, render
from medlora.report.terminal_redraw import Canvas
from medlora.train.loop import StepResult

_log = logs.logger(__name__)
_A_SECOND = 4  # pictures of the live view


class ProgressView:
    """Shows how far a run is, what it does now, and what it did last; a context manager.

    Args:
        name: of the run.
        total_steps: of the whole run.
        epochs: of the whole run.
        memory: returns bytes in use and at most so far, see `plan.device`.
        show: whether anything is shown; the first of several workers alone does.
        terminal: whether standard error is one; found out where None.
        clock: seconds.
    """

    def __init__(  # noqa: PLR0913  (what there is to show)
        self,
        *,
        name: str,
        total_steps: int,
        epochs: float,
        memory: Callable[[], Mapping[str, float]] = dict,
        show: bool = True,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seen = Seen(name=name, total_steps=total_steps, epochs=epochs, began=clock())
        self._memory, self._show, self._clock = memory, show, clock
        here = sys.stderr.isatty() and not logs.is_json()
        self._terminal = show and (here if terminal is None else terminal)
        self._every_s = logs.interval_s()
        self._last_line: float | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start to show."""
        self.seen.began = self._clock()
        if self._terminal:
            console = Console(file=sys.stderr)
            canvas = Canvas(console, lambda: render(self.seen, now=self._clock()))
            console.push_render_hook(canvas)
            self._stack.callback(console.pop_render_hook)
            live = Live(
                get_renderable=lambda: canvas,
                console=console,
                refresh_per_second=_A_SECOND,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._stack.enter_context(live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the view as it stands."""
        self.seen.doing = "ended" if kind is None else "interrupted"
        self._stack.close()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Say what the run does for the time of the block."""
        before, self.seen.doing = self.seen.doing, what
        try:
            yield
        finally:
            self.seen.doing = before

    def show(self, result: StepResult, *, trained_s: float) -> None:
        """Show one step.

        Args:
            result: of the step.
            trained_s: seconds of this attempt's steps so far, and of nothing between them.
        """
        self.seen.add(result, trained_s=trained_s)
        if self._show:
            self.seen.memory = dict(self._memory())
        if self._show and not self._terminal:
            self._line_when_due()

    def evaluated(self, step: int, loss: float) -> None:
        """Show an evaluation; step 0 is the base model."""
        if step == 0:
            self.seen.base = loss
        else:
            self.seen.evaluation = (step, loss)
            self.seen.best = min(loss, self.seen.best or loss)

    def saved(self, name: str) -> None:
        """Show that a folder of the run is written, whole."""
        self.seen.checkpoint = (name, self._clock())

    def _line_when_due(self) -> None:
        now, last = self._clock(), self.seen.step == self.seen.total_steps
        due = self._last_line is None or now - self._last_line >= self._every_s
        if due or last:
            self._last_line = now
            facts = self.seen.facts(now)
            _log.info("%s", self.seen.line(now), extra={"fields": {"event": "progress", **facts}})
