"""Curves are the file's own numbers; where there are too many, no peak is lost."""

import json
from collections.abc import Callable

from medlora.report.page.run_facts import Run
from medlora.report.page.series import Point, curves_of, points_of, thin


def test_points_are_what_the_file_says() -> None:
    """By kind and name, to the last digit; null and yes or no are no points."""
    lines = [
        {"kind": "train", "step": 1, "loss": 0.1 + 0.2, "skipped": False},
        {"kind": "train", "step": 2, "loss": None, "skipped": True},
        {"kind": "eval", "step": 2, "eval_loss": 1e-300},
    ]
    found = points_of("".join(json.dumps(line) + "\n" for line in lines).encode())
    assert found == {
        ("train", "loss"): [Point(1, 0.1 + 0.2)],
        ("eval", "eval_loss"): [Point(2, 1e-300)],
    }


def test_thinning_keeps_ends_and_extremes() -> None:
    """A peak of a single step is there, whatever is left out; what stays was in the file."""
    points = [Point(step, float((step * 37) % 101)) for step in range(10_000)]
    points[4321] = Point(4321, 1e6)
    points[8765] = Point(8765, -1e6)
    kept = thin(points, 300)
    assert len(kept) <= 300
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert {points[0], points[-1], points[4321], points[8765]} <= set(kept)
    assert thin(points[:300], 300) == points[:300]


def test_several_runs_share_a_panel(make_run: Callable[..., Run]) -> None:
    """A curve for each run and metric, named by both; panels without numbers are not there."""
    panels = dict(curves_of([make_run("a"), make_run("b", steps=5)]))
    named = {panel.anchor: [curve.label for curve in curves] for panel, curves in panels.items()}
    assert named["loss"] == ["a, training", "b, training", "a, held out", "b, held out"]
    assert named["answers"] == ["a, refused", "b, refused"]
    assert list(named) == ["loss", "rate", "gradient", "speed", "memory", "answers"]
    alone = dict(curves_of([Run("a", {}, b"")]))
    assert alone == {}
