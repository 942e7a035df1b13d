"""Rates and changes as cells: how many of how many, and where the truth may lie."""

from collections.abc import Mapping, Sequence
from typing import Any

from medlora.report.interval import TOO_FEW, bounds
from medlora.report.page.run import Run
from medlora.report.page.table import Cell, say

Found = Mapping[str, Any]
MODELS = ("base", "adapter")


def rate(found: Found | None) -> Cell:
    """Return a rate with its counts and its interval, in percent."""
    if not found or not found.get("n") or not _is_number(found.get("rate")):
        return say(None)
    share, pair = float(found["rate"]), bounds(found)
    text = f"{found.get('k')} of {found['n']}: {100 * share:.1f} %"
    if pair is None:
        return Cell(f"{text} ({TOO_FEW})", whole=True)
    low, high = pair
    text = f"{text} [{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(text, whole=True, share=(low, share, high))


def change(found: Found) -> Cell:
    """Return a difference with its interval, and the rows that only one of the two has."""
    if found.get("difference") is None:
        return say(None)
    paired = "base_only" in found  # of rates: in points of a percent
    scale, form = (100, "+.1f") if paired else (1, "+.4g")

    def told(value: float) -> str:
        return format(scale * value, form)

    pair = bounds(found)
    more = f" [{told(pair[0])}, {told(pair[1])}]" if pair else f" ({TOO_FEW})"
    sides = f"; -{found['base_only']} +{found['adapter_only']} rows" if paired else ""
    return Cell(f"{told(found['difference'])}{more}{sides}", whole=True)


def at(value: Found, *names: str) -> Any:  # noqa: ANN401  (any JSON value)
    """Return what stands below these names, None where nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None  # type: ignore[assignment]
    return value


def run_header(runs: Sequence[Run]) -> list[str]:
    """Return the header of the column that names the run, if there are several."""
    return ["run"] if len(runs) > 1 else []


def run_cell(run: Run, runs: Sequence[Run]) -> list[Cell]:
    """Return the cell that names the run, if there are several."""
    return [Cell(run.label)] if len(runs) > 1 else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
