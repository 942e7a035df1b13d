"""Draw docs/images/memory.svg: resident memory over a long run, as `benchmarks.growth` measured it.

The background is the picture's own, so that it can be read on a light page and on a dark one.
"""

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

MEASURED = Path(__file__).parents[1] / "benchmarks/results/growth-cpu.json"
WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 32, 48, 52
MOST_STEPS, MOST_MIB = 2000, 2000
_ACROSS = (1, 10, 100, 1000, 2000)
_UP = range(0, MOST_MIB + 1, 500)
_STYLE = "font-family:system-ui,sans-serif;font-size:14px;paint-order:stroke"


class _Series(NamedTuple):
    """How a measurement is drawn; `what` is its name in the results."""

    what: str
    label: str
    color: str
    dash: str


_SERIES = (
    _Series("a run as it is", "as it is", "#0b57d0", ""),
    _Series(
        "before: oneDNN asked for every number of positions; right after the one above",
        "products of every length",
        "#b3261e",
        "",
    ),
    _Series(
        "before, 32 primitives kept instead of 1,024",
        "the same, 32 primitives kept",
        "#8a4b00",
        "8 4",
    ),
    _Series("MKL", "MKL", "#4a4a4a", "3 4"),
)


def memory(results: Sequence[dict[str, Any]]) -> str:
    """Return the picture as SVG.

    Args:
        results: measurements with `what` and `resident_mib`, {step: MiB}; the last item is a note.
    """
    measured = {one["what"]: one["resident_mib"] for one in results if "what" in one}
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" style="{_STYLE}">',
        "<title>Resident memory over the steps of a run</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        _text(LEFT, 28, "Resident memory, MiB"),
        *_grid(),
    ]
    for series in _SERIES:
        parts += _drawn(series, {int(step): mib for step, mib in measured[series.what].items()})
    return "\n".join([*parts, "</svg>", ""])


def x(step: float) -> float:
    """Return where a step stands; the scale is logarithmic."""
    return round(LEFT + math.log(step, MOST_STEPS) * (WIDTH - LEFT - RIGHT), 1)


def y(mib: float) -> float:
    """Return where an amount of memory stands."""
    return round(HEIGHT - BOTTOM - mib / MOST_MIB * (HEIGHT - TOP - BOTTOM), 1)


def _grid() -> list[str]:
    parts = []
    for mib in _UP:
        color = "#d0d0d0" if mib else "#606060"
        parts.append(f'<path d="M{LEFT} {y(mib)}H{WIDTH - RIGHT}" stroke="{color}"/>')
        parts.append(_text(LEFT - 8, y(mib) + 5, f"{mib:,}", anchor="end"))
    for step in _ACROSS:
        parts.append(f'<path d="M{x(step)} {y(0)}v5" stroke="#606060"/>')
        parts.append(_text(x(step), y(0) + 21, f"{step:,}", anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*parts, _text(middle, HEIGHT - 10, "step (logarithmic)", anchor="middle")]


def _drawn(series: _Series, resident: dict[int, float]) -> list[str]:
    """Return a line, its points with their values, and its label."""
    points = sorted(resident.items())
    path = "L".join(f"{x(step)} {y(mib)}" for step, mib in points)
    dash = f' stroke-dasharray="{series.dash}"' if series.dash else ""
    line = f'<path d="M{path}" fill="none" stroke="{series.color}" stroke-width="2.5"{dash}/>'
    marks = [
        f'<circle cx="{x(step)}" cy="{y(mib)}" r="3.5" fill="{series.color}">'
        f"<title>{escape(series.label)}: step {step:,}, {mib:,} MiB</title></circle>"
        for step, mib in points
    ]
    step, mib = points[-1]
    if step < MOST_STEPS:
        label = _text(x(step) + 9, y(mib) + 5, series.label, color=series.color)
    else:  # there is no room behind it
        label = _text(x(step), y(mib) - 12, series.label, anchor="end", color=series.color)
    return [line, *marks, label]


def _text(
    across: float, up: float, text: str, *, anchor: str = "start", color: str = "#202020"
) -> str:
    return (
        f'<text x="{across}" y="{round(up, 1)}" text-anchor="{anchor}" fill="{color}" '
        f'stroke="#ffffff" stroke-width="5">'
        f"{escape(text)}</text>"
    )


def draw() -> str:
    """Return the picture of the results that are stated."""
    return memory(json.loads(MEASURED.read_text(encoding="utf-8")))
