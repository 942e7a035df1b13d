"""metrics.jsonl as curves: which panels there are, and the points of each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from medlora.report.loss_comparability import TRAINING
from medlora.report.metrics_jsonl import read_lines
from medlora.report.page.comparable_runs import HELD_OUT, sets_of
from medlora.report.page.run_facts import Run

GIB = float(1 << 30)
# Points of all curves of a page together: about a third of a megabyte.
_MOST_POINTS = 9000
_LEAST = 120  # of a curve, however many curves there are


class Point(NamedTuple):
    """A step and the value that the file has for it, to the last digit."""

    step: int
    value: float


class Metric(NamedTuple):
    """Where in a line of metrics.jsonl a curve's values stand, and what it is called.

    `loss` is what a manifest's result calls it, where it is one: of some rows and no others.
    """

    kind: str
    field: str
    label: str
    loss: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart: its curves share an axis."""

    anchor: str
    title: str
    unit: str
    metrics: Sequence[Metric]
    scale: float = 1.0  # the file's values are divided by it


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric of a run, for drawing."""

    run: int
    metric: int  # which of the panel's
    label: str
    points: Sequence[Point]
    total: int  # how many the file has
    of_set: int | None = None  # of rows, where the page's runs were measured on several


PANELS = (
    Panel(
        "loss",
        "Loss",
        "nats a token",
        (
            Metric("train", "loss", "training", TRAINING),
            Metric("eval", "eval_loss", "held out", HELD_OUT),
        ),
    ),
    Panel("rate", "Learning rate", "", (Metric("train", "learning_rate", "learning rate"),)),
    Panel("gradient", "Gradient norm", "", (Metric("train", "grad_norm", "before clipping"),)),
    Panel("speed", "Speed", "tokens a second", (Metric("train", "tokens_per_s", "speed"),)),
    Panel(
        "memory",
        "Memory",
        "GiB",
        (
            Metric("train", "memory_bytes", "in use"),
            Metric("train", "memory_peak_bytes", "peak"),
        ),
        GIB,
    ),
    Panel(
        "answers",
        "Answers while it trained",
        "share or score, 0 to 1",
        (
            Metric("metrics", "performance/avg_response_quality", "form"),
            Metric("metrics", "performance/compliant_rate", "compliant"),
            Metric("metrics", "performance/refused_rate", "refused"),
            Metric("metrics", "performance/degenerate_rate", "collapsed"),
        ),
    ),
)

# What Hugging Face's Trainer says goes by the names of the curves, in lines of one kind.
_TRAINERS = {
    ("metrics", "train_loss"): ("train", "loss"),
    ("metrics", "learning_rate"): ("train", "learning_rate"),
    ("metrics", "grad_norm"): ("train", "grad_norm"),
    ("metrics", "eval_loss"): ("eval", "eval_loss"),
}
Points = Mapping[tuple[str, str], Sequence[Point]]


def points_of(metrics: bytes) -> Points:
    """Return {(kind, field): points} of a metrics.jsonl; what was not finite is left out."""
    points: defaultdict[tuple[str, str], list[Point]] = defaultdict(list)
    for line in read_lines(metrics):
        for name, value in line.numbers.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                key = (line.kind, name)
                points[_TRAINERS.get(key, key)].append(Point(line.step, value))
    return points


def curves_of(runs: Sequence[Run]) -> list[tuple[Panel, list[Curve]]]:
    """Return the panels that have a curve, each with its curves; long ones are thinned."""
    of_runs = [points_of(run.metrics) for run in runs]
    panels = [(panel, _curves(panel, runs, of_runs)) for panel in PANELS]
    present = [(panel, curves) for panel, curves in panels if curves]
    count = sum(len(curves) for _, curves in present)
    most = max(_MOST_POINTS // max(count, 1), _LEAST)
    return [(panel, [_thinned(curve, most) for curve in curves]) for panel, curves in present]


def _curves(panel: Panel, runs: Sequence[Run], of_runs: Sequence[Points]) -> list[Curve]:
    curves = []
    for place, metric in enumerate(panel.metrics):
        sets = sets_of(runs, metric.loss) if metric.loss else [None] * len(runs)
        for index, (run, number) in enumerate(zip(runs, sets, strict=True)):
            points = of_runs[index].get((metric.kind, metric.field), ())
            label = _label(panel, metric, run, alone=len(runs) == 1)
            label = label if number is None else f"{label} (set {number})"
            if points:
                curves.append(Curve(index, place, label, points, len(points), number))
    return curves


def _label(panel: Panel, metric: Metric, run: Run, *, alone: bool) -> str:
    if alone:
        return metric.label
    return run.label if len(panel.metrics) == 1 else f"{run.label}, {metric.label}"


def _thinned(curve: Curve, most: int) -> Curve:
    return replace(curve, points=thin(curve.points, most))


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most so many of the points: both ends, and of each stretch the highest and lowest.

    So no peak is lost; every point that stays is the file's own.
    """
    if len(points) <= most:
        return list(points)
    inner = range(1, len(points) - 1)
    stretches = (most - 2) // 2
    kept = {0, len(points) - 1}
    for number in range(stretches):
        start = 1 + number * len(inner) // stretches
        end = 1 + (number + 1) * len(inner) // stretches
        places = range(start, end)
        if places:
            kept |= {
                min(places, key=lambda place: points[place].value),
                max(places, key=lambda place: points[place].value),
            }
    return [points[place] for place in sorted(kept)]
