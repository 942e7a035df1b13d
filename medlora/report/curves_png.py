"""A run at a glance: four panels in one PNG."""

import io
import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from medlora.errors import MissingPartError

Series = Mapping[str, Sequence[tuple[int, float]]]

# Panel -> label of its values, and (metric, name in the legend) of each curve.
_PANELS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "Loss": ("nats a token", (("train_loss", "train"), ("eval_loss", "held out"))),
    "Learning rate": ("learning rate", (("learning_rate", ""),)),
    "Memory": ("GiB", (("memory_allocated", ""),)),
    "Response quality": ("score", (("performance/avg_response_quality", ""),)),
}


def can_draw() -> bool:
    """Tell whether the drawing library is there."""
    return find_spec("matplotlib") is not None


def draw(metrics: Series, *, title: str) -> bytes:
    """Return the curves as a PNG; a panel without numbers says so.

    Args:
        metrics: metric -> points (step, value).
        title: what stands above the panels.

    Raises:
        MissingPartError: matplotlib is not installed.
    """
    if not can_draw():
        raise MissingPartError(
            "the training curves cannot be drawn: matplotlib is not installed",
            fix="install medlora[plots]; the numbers are in metrics.jsonl all the same",
        )
    # It warns about a home that cannot be written, which is how containers run.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPartError(
            f"the training curves cannot be drawn: matplotlib does not load ({error})",
            fix="install medlora[plots] again; the numbers are in metrics.jsonl all the same",
        ) from error

    figure = Figure(figsize=(12, 8), layout="constrained")  # no pyplot: no state, no display
    figure.suptitle(title)
    for axes, (name, (unit, curves)) in zip(
        figure.subplots(2, 2).flat, _PANELS.items(), strict=True
    ):
        _panel(axes, metrics, curves)
        axes.set(title=name, xlabel="step", ylabel=unit)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def _panel(
    axes: Any,  # noqa: ANN401  (matplotlib's own type)
    metrics: Series,
    curves: Sequence[tuple[str, str]],
) -> None:
    present = [(metrics[metric], label) for metric, label in curves if metrics.get(metric)]
    for points, label in present:
        steps, values = zip(*points, strict=True)
        few = len(points) < 30  # noqa: PLR2004  (more would hide the line)
        axes.plot(steps, values, marker="o" if few else None, markersize=3, label=label)
    if not present:
        axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=axes.transAxes)
    elif any(label for _, label in present):
        axes.legend()
    axes.grid(visible=True, alpha=0.3)
