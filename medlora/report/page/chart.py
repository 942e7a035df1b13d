"""A panel as a drawing: where its ticks, lines and marks stand.

The page's script draws the same way when somebody zooms; these are the shapes that are there
before it runs, where it does not run, and on paper.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from medlora.report.markdown import number
from medlora.report.page.series import Curve, Panel, Point

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 34
_FEW = 40  # points: so many are marked one by one
_TICKS = 5
_APART = "Curves of different sets were measured on different rows: they cannot be compared."


@dataclass(frozen=True, slots=True)
class Axis:
    """The values that a side of the drawing stands for, and those that are written there."""

    low: float
    high: float
    ticks: Sequence[float]

    def place(self, value: float, start: float, length: float) -> float:
        """Return where a value stands on a side from `start` on."""
        return start + (value - self.low) / (self.high - self.low) * length


@dataclass(frozen=True, slots=True)
class Line:
    """A curve, drawn."""

    label: str
    color: int
    dash: int
    path: str
    marks: Sequence[tuple[str, str]]


class CurveData(TypedDict):
    """A curve, for the script: its points as they stand in the file."""

    label: str
    field: str
    run: int
    color: int
    dash: int
    points: list[list[float]]


class ChartData(TypedDict):
    """What the script draws a panel from."""

    anchor: str
    unit: str
    scale: float
    curves: list[CurveData]


@dataclass(frozen=True, slots=True)
class Chart:
    """A panel, drawn."""

    panel: Panel
    across: Sequence[tuple[str, str]]  # place and text of each tick
    up: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    summary: Sequence[str]  # a sentence on each curve
    note: str  # what keeps its curves from being compared, if anything does
    data: ChartData  # what the script draws from: the file's own numbers


def axis(low: float, high: float, *, whole: bool = False) -> Axis:
    """Return an axis that holds both values, with round ticks; whole ones alone if asked."""
    if low == high:
        low, high = (low - 0.5, high + 0.5) if whole else _around(low)
    rough = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [float(f"{place * step:.12g}") for place in range(first, last + 1)]
    if whole:  # steps: the axis ends where the run does
        return Axis(low, high, [tick for tick in ticks if low <= tick <= high])
    return Axis(ticks[0], ticks[-1], ticks)


def _around(value: float) -> tuple[float, float]:
    room = abs(value) * 0.1 or 0.5
    return value - room, value + room


def draw(panel: Panel, curves: Sequence[Curve], *, runs: int) -> Chart:
    """Return a panel's drawing.

    Args:
        panel: what it shows.
        curves: at least one, each with a point.
        runs: how many runs the page has: a color is a run's, or a curve's where there is one run.
    """
    points = [point for curve in curves for point in curve.points]
    steps = axis(min(p.step for p in points), max(p.step for p in points), whole=True)
    scaled = [point.value / panel.scale for point in points]
    values = axis(min(scaled), max(scaled))
    lines = [_line(curve, panel, steps, values, runs=runs) for curve in curves]
    return Chart(
        panel,
        [(_short(_x(tick, steps)), number(int(tick))) for tick in steps.ticks],
        [(_short(_y(tick, values)), f"{tick:.6g}") for tick in values.ticks],
        lines,
        [_sentence(curve, panel) for curve in curves],
        _APART if any(curve.of_set for curve in curves) else "",
        _data(panel, curves, lines),
    )


def _x(step: float, steps: Axis) -> float:
    return steps.place(step, LEFT, WIDTH - LEFT - RIGHT)


def _y(value: float, values: Axis) -> float:
    return values.place(value, HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT)


def _short(place: float) -> str:
    return f"{place:.1f}"


def _line(curve: Curve, panel: Panel, steps: Axis, values: Axis, *, runs: int) -> Line:
    places = [
        (_short(_x(point.step, steps)), _short(_y(point.value / panel.scale, values)))
        for point in curve.points
    ]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    marks = places if len(places) <= _FEW else []
    color = curve.run if runs > 1 else curve.metric
    return Line(curve.label, color % 6, curve.metric % 4, path, marks)


def _sentence(curve: Curve, panel: Panel) -> str:
    """Return what a curve comes to, for those who do not see it."""

    def shown(point: Point) -> str:
        return f"{number(float(point.value / panel.scale))} at step {point.step}"

    first, last = curve.points[0], curve.points[-1]
    low = min(curve.points, key=lambda point: point.value)
    high = max(curve.points, key=lambda point: point.value)
    if curve.total == 1:
        return f"{curve.label}: {shown(first)}."
    drawn = "" if len(curve.points) == curve.total else f", {len(curve.points)} of them drawn"
    ends = (first, last)
    inner = [
        f"{name} {shown(point)}"
        for name, point in (("lowest", low), ("highest", high))
        if point not in ends
    ]
    return (
        f"{curve.label}: {shown(first)}, {shown(last)}"
        f"{''.join(f'; {text}' for text in inner)} ({number(curve.total)} points{drawn})."
    )


def _data(panel: Panel, curves: Sequence[Curve], lines: Sequence[Line]) -> ChartData:
    return {
        "anchor": panel.anchor,
        "unit": panel.unit,
        "scale": panel.scale,
        "curves": [
            {
                "label": curve.label,
                "field": panel.metrics[curve.metric].field,
                "run": curve.run,
                "color": line.color,
                "dash": line.dash,
                "points": [list(point) for point in curve.points],
            }
            for curve, line in zip(curves, lines, strict=True)
        ],
    }
