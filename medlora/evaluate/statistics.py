"""Intervals and tests for counts and paired outcomes, all at 95 %.

Sources: E. B. Wilson, JASA 22 (1927) 209, the score interval; Q. McNemar, Psychometrika 12 (1947)
153, in its exact form; R. G. Newcombe, Statistics in Medicine 17 (1998) 2635, method 10, paired
score intervals by squares and sums; B. Efron and R. Tibshirani, An Introduction to the Bootstrap
(1993), chapter 13, the percentile interval.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

_Z = NormalDist().inv_cdf(0.975)
_TAIL = 2.5  # percent
_RESAMPLES = 2_000
_AT_ONCE = 100  # resamples, so that memory stays small for long suites
# Of n items, the least one alone is drawn n times by a chance of 1 / n^n.  Of three and fewer that
# is more than a tail, and the bounds would be the extremes themselves.
_FEWEST = 4


class Interval(NamedTuple):
    """The bounds of a 95 % interval."""

    low: float
    high: float


class Pairs(NamedTuple):
    """How two models did on the same items: both right, base alone, adapter alone, neither."""

    both: int
    base_only: int
    adapter_only: int
    neither: int


def wilson(k: int, n: int) -> Interval:
    """Return the score interval of a rate of k in n; all of 0 to 1 where n is 0."""
    if n == 0:
        return Interval(0.0, 1.0)
    rate, square = k / n, _Z * _Z
    middle = (rate + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n))
    # At the ends the two terms are equal, and rounding must not hide it.
    return Interval(0.0 if k == 0 else middle - half, 1.0 if k == n else middle + half)


def mcnemar(b: int, c: int) -> float:
    """Return the exact two-sided p that b and c discordant pairs differ by chance alone."""
    n, tail = b + c, min(b, c)
    # Integers of any length: neither n nor the smallest p has a limit.
    ways = sum(math.comb(n, k) for k in range(tail + 1))
    return float(min(1.0, 2 * ways / 2**n))


def paired_difference(pairs: Pairs) -> Interval:
    """Return the interval of the adapter's rate minus the base's; -1 to 1 for no pair."""
    a, b, c, _ = pairs
    n = sum(pairs)
    if n == 0:
        return Interval(-1.0, 1.0)
    adapter, base = (a + c) / n, (a + b) / n
    (low, high), (base_low, base_high) = wilson(a + c, n), wilson(a + b, n)
    phi = _correlation(pairs)
    down = _diagonal(adapter - low, base_high - base, phi)
    up = _diagonal(high - adapter, base - base_low, phi)
    return Interval(adapter - base - down, adapter - base + up)


def _diagonal(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def _correlation(pairs: Pairs) -> float:
    """Return phi, drawn towards 0 by Newcombe's continuity correction where it is positive."""
    a, b, c, d = pairs
    product = (a + b) * (c + d) * (a + c) * (b + d)
    if not product:
        return 0.0
    excess = float(a * d - b * c)
    if excess > 0:
        excess = max(excess - sum(pairs) / 2, 0.0)
    return excess / math.sqrt(product)


def bootstrap(
    values: Sequence[float], *, weights: Sequence[float] | None = None, seed: int = 0
) -> Interval:
    """Return the percentile interval of a weighted mean, by drawing the items anew.

    Args:
        values: one for each item, e.g. the change of its margin.
        weights: of the items, e.g. their tokens; all alike where None.
        seed: of the drawing.  NumPy's RandomState is frozen for ever (NEP 19), so the interval
            is a pure function of the arguments.

    Returns:
        Everything, where there are too few items to have an interval.
    """
    import numpy as np

    many = np.asarray(values, dtype=np.float64)
    if len(many) < _FEWEST:
        return Interval(-math.inf, math.inf)
    weight = np.ones(len(many)) if weights is None else np.asarray(weights, dtype=np.float64)
    random, means = np.random.RandomState(seed), []
    for _ in range(_RESAMPLES // _AT_ONCE):
        drawn = random.randint(0, len(many), size=(_AT_ONCE, len(many)))
        means.append((many * weight)[drawn].sum(axis=1) / weight[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [_TAIL, 100 - _TAIL])
    return Interval(float(low), float(high))
