"""Drawings hold their numbers, on round ticks."""

import math

import pytest

from medlora.report.page.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, axis, draw
from medlora.report.page.series import PANELS, Curve, Point


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (1e-8, 3e-8), (-5, 12345.6), (7, 7), (0, 0), (0.999, 1.001)]
)
def test_an_axis_holds_its_values(low: float, high: float) -> None:
    """Between three and eight round ticks, the outer ones around the values."""
    found = axis(low, high)
    assert found.low <= low <= high <= found.high
    assert 3 <= len(found.ticks) <= 8
    for tick in found.ticks:
        assert tick == pytest.approx(float(f"{tick:.5g}"), abs=1e-12)


def test_steps_are_whole_and_end_with_the_run() -> None:
    """No half step, even of a run of one."""
    assert axis(3, 183, whole=True).high == 183
    for first, last in ((1, 1), (1, 2), (0, 7)):
        ticks = axis(first, last, whole=True).ticks
        assert ticks
        assert all(tick == math.floor(tick) for tick in ticks)


def test_a_curve_stays_in_its_box() -> None:
    """Ends at the sides, and its story in words beside it."""
    points = [Point(10, 1.0), Point(20, 5.0), Point(40, 2.0)]
    chart = draw(PANELS[0], [Curve(0, 0, "training", points, 3)], runs=1)
    places = [tuple(map(float, place)) for place in chart.lines[0].marks]
    assert places[0][0] == LEFT
    assert places[-1][0] == WIDTH - RIGHT
    assert all(TOP <= y <= HEIGHT - BOTTOM for _, y in places)
    assert chart.summary == [
        "training: 1 at step 10, 2 at step 40; highest 5 at step 20 (3 points)."
    ]
    assert chart.data["curves"][0]["points"] == [[10, 1.0], [20, 5.0], [40, 2.0]]
