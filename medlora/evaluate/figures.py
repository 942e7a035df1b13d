"""Rates with their intervals, and numbers as they are printed.

Every rate is {k, n, rate, low, high}, with Wilson's interval; every change of one has the items
that only one of the two has (`base_only`, `adapter_only`), McNemar's exact p and the paired
difference, adapter minus base, with Newcombe's interval.
"""

import math
from collections.abc import Sequence

from medlora.evaluate.schema import MeanChange, Rate, RateChange
from medlora.evaluate.statistics import Interval, Pairs, mcnemar, paired_difference, wilson

MOST_DEGENERATE = 0.1  # a larger share of collapsed answers, and no rule about them means a thing
_DIGITS = 6


def rate(flags: Sequence[bool | None]) -> Rate:
    """Return a rate with its interval, over the items that have an answer."""
    asked = [flag for flag in flags if flag is not None]
    k, n = sum(asked), len(asked)
    low, high = map(rounded, wilson(k, n))
    return {"k": k, "n": n, "rate": rounded(k / n) if n else None, "low": low, "high": high}


def change(base: Sequence[bool | None], adapter: Sequence[bool | None]) -> RateChange:
    """Return the change of a rate on the same items."""
    pairs = [pair for pair in zip(base, adapter, strict=True) if None not in pair]
    counts, n = Pairs(*(pairs.count(kind) for kind in _KINDS_OF_PAIR)), len(pairs)
    low, high = map(rounded, paired_difference(counts))
    return {
        "both": counts.both,
        "base_only": counts.base_only,
        "adapter_only": counts.adapter_only,
        "neither": counts.neither,
        "n": n,
        "p": significant(mcnemar(counts.base_only, counts.adapter_only)),
        "difference": rounded((counts.adapter_only - counts.base_only) / n) if n else None,
        "low": low,
        "high": high,
    }


_KINDS_OF_PAIR = ((True, True), (True, False), (False, True), (False, False))


def mean_change(mean: float, interval: Interval, *, n: int) -> MeanChange:
    """Return the mean change of a number over n items."""
    low, high = finite(interval.low), finite(interval.high)
    return {"n": n, "difference": finite(mean), "low": low, "high": high}


def rounded(value: float) -> float:
    """Return a number to print: the last bits depend on the size of a batch."""
    return round(value, _DIGITS) + 0.0  # no -0.0


def finite(value: float) -> float | None:
    """Return a number to print, None where it is none."""
    return rounded(value) if math.isfinite(value) else None


def significant(value: float) -> float:
    """Return a number of any size, to print."""
    return float(f"{value:.{_DIGITS}g}")
