"""Where a number has an interval, and what is said where there are too few items to have one."""

from collections.abc import Mapping
from typing import Any

TOO_FEW = "n too small"
_LEAST = 2


def bounds(found: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the 95 % interval of a rate or a difference, None where it means nothing.

    One item has none, whatever a formula gives; nor has one of no width whose n nobody kept: that
    is what one row looked like in earlier reports.

    Args:
        found: with `low` and `high`, and `n` where it is known.
    """
    low, high, n = found.get("low"), found.get("high"), found.get("n")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    few = low == high if n is None else n < _LEAST
    return None if few else (float(low), float(high))
