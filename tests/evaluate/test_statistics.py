"""Intervals and tests agree with published figures, and with their definitions at the ends."""

import math
from itertools import product

import pytest

from medlora.evaluate.statistics import Pairs, bootstrap, mcnemar, paired_difference, wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # What the safety literature that works with three prompts has to live with.
        (3, 3, 0.4385, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_agrees_with_published_figures(k: int, n: int, low: float, high: float) -> None:
    """To the four digits that are printed."""
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_mirrors_and_contains_the_rate() -> None:
    """Success and failure are names; the bounds are within 0 and 1."""
    for n in (1, 7, 300):
        for k in range(n + 1):
            low, high = wilson(k, n)
            mirrored = wilson(n - k, n)
            assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)
            assert 0 <= low <= k / n <= high <= 1


def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs() -> None:
    """Airway responsiveness of 21 children, 1 against 7: p = 0.0703 (Fagerland et al., 2014)."""
    assert mcnemar(1, 7) == mcnemar(7, 1) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1.0
    assert mcnemar(0, 6) == 2 / 2**6
    assert 0 < mcnemar(100, 900) < 1e-100


def test_the_paired_interval_agrees_with_published_figures() -> None:
    """The same children: -0.507 to -0.026 by squares and sums (Fagerland et al., 2014)."""
    assert paired_difference(Pairs(1, 7, 1, 12)) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_the_paired_interval_mirrors_contains_and_stays_in_range() -> None:
    """Base and adapter are names; so are right and wrong."""
    for counts in product((0, 1, 4, 30), repeat=4):
        pairs = Pairs(*counts)
        low, high = paired_difference(pairs)
        if not sum(pairs):
            assert (low, high) == (-1.0, 1.0)
            continue
        a, b, c, d = pairs
        assert -1 <= low <= (c - b) / sum(pairs) <= high <= 1
        assert paired_difference(Pairs(a, c, b, d)) == pytest.approx((-high, -low), abs=1e-12)
        assert paired_difference(Pairs(d, c, b, a)) == pytest.approx((-high, -low), abs=1e-12)


def test_identical_outcomes_narrow_with_their_number() -> None:
    """Nothing changed on 10 items says less than nothing changed on 1,000."""
    few, many = (paired_difference(Pairs(n // 2, 0, 0, n // 2)) for n in (10, 1000))
    assert few.low < many.low < 0 < many.high < few.high


def test_bootstrap_has_the_width_of_the_theory_and_is_repeatable() -> None:
    """For 400 numbers of variance 1/12: mean +- 1.96 sd / 20; other seeds, other digits."""
    values = [(k * 0.6180339887) % 1 for k in range(400)]
    low, high = bootstrap(values)
    assert (low, high) == bootstrap(values)
    assert (low, high) != bootstrap(values, seed=1)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12) / 20, rel=0.05)
    assert low < sum(values) / 400 < high


def test_bootstrap_weighs_items_and_knows_the_ends() -> None:
    """A heavy item counts as many light ones; constants have no width; nothing says nothing."""
    assert bootstrap([2.0] * 9) == (2.0, 2.0)
    assert bootstrap([]) == (-math.inf, math.inf)
    assert bootstrap([1.0]) == bootstrap([1.0, 2.0, 4.0]) == (-math.inf, math.inf)
    assert bootstrap([1.0, 2.0, 4.0, 8.0])[0] > 1.0  # no longer the extremes themselves
    low, high = bootstrap([0.0, 1.0] * 50, weights=[1.0, 99.0] * 50)
    assert 0.97 < low < 0.99 < high < 1
