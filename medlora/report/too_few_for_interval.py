"""Where a number has an interval, and what is said where there are too few items to have one."""

from typing import NotRequired, TypedDict

from medlora.evaluate.schema import MeanChange, Rate, RateChange

TOO_FEW = "n too small"
_LEAST = 2


class Interval(TypedDict):
    """The bounds of any other figure's 95 % interval, and of how many items where it is known."""

    low: float
    high: float
    n: NotRequired[int]


def bounds(figure: Rate | RateChange | MeanChange | Interval) -> tuple[float, float] | None:
    """Return the 95 % interval of a rate or a difference, None where it means nothing.

    One item has none, whatever a formula gives; nor has one of no width whose n nobody kept: that
    is what one row looked like in earlier reports.

    Args:
        figure: as a file has it, which may be an older one with less in it.
    """
    low, high, n = figure.get("low"), figure.get("high"), figure.get("n")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    few = low == high if n is None else n < _LEAST
    return None if few else (float(low), float(high))
