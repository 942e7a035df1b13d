"""A picture that is drawn anew in its place also where the terminal has become narrower.

Many terminals then break its lines in two, so that it stands higher than it was drawn: whoever
goes up by the lines that were drawn leaves the top of the old picture behind.
"""

from collections.abc import Callable, Sequence

from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    RenderableType,
    RenderHook,
    RenderResult,
)
from rich.control import Control
from rich.segment import ControlType, Segment

_UP = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))


class Canvas(RenderHook):
    """What a `rich.live.Live` shows; and a hook of its console, to be there before the view is.

    Args:
        console: that it is shown on.
        picture: returns what is shown now.
    """

    def __init__(self, console: Console, picture: Callable[[], RenderableType]) -> None:
        self._console, self._picture = console, picture
        self._widths: Sequence[int] = ()  # columns of each line as it was drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw, and keep how wide each line is."""
        lines = console.render_lines(self._picture(), options, pad=False)
        widths = [Segment.get_line_length(line) for line in lines]
        self._widths = widths[: options.size.height]
        for line in lines:
            yield from line
            yield Segment.line()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Go up, after the view has gone up by its lines, by the rows that they were broken into.

        A terminal that cuts lines off instead loses as many rows of what was printed above.
        """
        columns = max(1, self._console.width)
        broken = sum(max(0, width - 1) // columns for width in self._widths)
        return [Control(*_UP * broken), *renderables] if broken else renderables
