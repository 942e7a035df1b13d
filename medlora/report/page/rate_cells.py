"""Rates and changes as cells: how many of how many, and where the truth may lie."""

from collections.abc import Mapping, Sequence
from typing import Any

from medlora.evaluate.schema import MeanChange, Rate, RateChange
from medlora.report.page.run_facts import Run
from medlora.report.page.table import Cell, say
from medlora.report.too_few_for_interval import TOO_FEW, bounds

MODELS = ("base", "adapter")


def rate_cell(rate: Rate | None) -> Cell:
    """Return a rate with its counts and its interval, in percent."""
    share = rate.get("rate") if rate else None
    if not rate or not rate.get("n") or not isinstance(share, int | float):
        return say(None)
    pair = bounds(rate)
    text = f"{rate.get('k')} of {rate['n']}: {100 * share:.1f} %"
    if pair is None:
        return Cell(f"{text} ({TOO_FEW})", whole=True)
    low, high = pair
    text = f"{text} [{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(text, whole=True, share=(low, share, high))


def change_cell(change: RateChange | MeanChange) -> Cell:
    """Return a difference with its interval, and the rows that only one of the two has."""
    difference, rows = change.get("difference"), _changed_rows(change)
    if difference is None:
        return say(None)
    scale, form = (100, "+.1f") if rows else (1, "+.4g")  # that of rates in points of a percent

    def shown(value: float) -> str:
        return format(scale * value, form)

    pair = bounds(change)
    more = f" [{shown(pair[0])}, {shown(pair[1])}]" if pair else f" ({TOO_FEW})"
    return Cell(f"{shown(difference)}{more}{rows}", whole=True)


def _changed_rows(change: Mapping[str, object]) -> str:
    """Return the rows that only one of the two has; an empty text where it is no rate's change."""
    if "base_only" not in change:
        return ""
    return f"; -{change['base_only']} +{change['adapter_only']} rows"


def at(value: object, *names: str) -> Any:  # noqa: ANN401  (any JSON value)
    """Return what stands below these names, None where nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def run_header(runs: Sequence[Run]) -> list[str]:
    """Return the header of the column that names the run, if there are several."""
    return ["run"] if len(runs) > 1 else []


def run_cell(run: Run, runs: Sequence[Run]) -> list[Cell]:
    """Return the cell that names the run, if there are several."""
    return [Cell(run.label)] if len(runs) > 1 else []
