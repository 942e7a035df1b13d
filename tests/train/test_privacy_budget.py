"""Epsilon is planned, counted and carried over; what was spent is never counted short."""

import json
import math
from importlib.util import find_spec

import pytest

from medlora.config import DpConfig
from medlora.errors import ConfigError
from medlora.train.privacy_budget import Budget, Ledger, plan_budget

# Not imported here: that takes a second wherever tests are collected.
pytestmark = pytest.mark.skipif(
    find_spec("opacus") is None, reason="opacus is not installed (uv sync --extra dp)"
)
EIGHT = DpConfig(target_epsilon=8)


def spent(budget: Budget, steps: int, state: dict | None = None) -> Ledger:
    """A ledger after so many steps."""
    ledger = Ledger(budget, state)
    for _ in range(steps):
        ledger.spend()
    return ledger


@pytest.mark.parametrize(("epsilon", "rows", "steps"), [(8, 400, 40), (0.5, 10_000, 300)])
def test_the_whole_run_spends_what_was_planned_and_no_more(
    epsilon: float, rows: int, steps: int
) -> None:
    """Within a hundredth, from below."""
    cfg = DpConfig(target_epsilon=epsilon)
    ledger = spent(plan_budget(cfg, rows=rows, sample_rate=16 / rows, steps=steps), steps)
    assert epsilon - 0.01 <= ledger.epsilon <= epsilon


def test_full_batches_agree_with_the_textbook() -> None:
    """At rate 1 a step is a plain Gaussian: its Renyi divergence is alpha / (2 sigma^2)."""
    ledger = spent(Budget(4.0, 1.0, 1.0, 10.0, 1e-5), 3)
    orders = [1 + k / 10 for k in range(1, 100)] + list(range(12, 64))
    textbook = min(
        3 * a / (2 * 16) + math.log((a - 1) / a) - (math.log(1e-5) + math.log(a)) / (a - 1)
        for a in orders
    )
    assert ledger.epsilon == pytest.approx(textbook, abs=1e-9)


def test_a_ledger_goes_on_through_json() -> None:
    """Killed after 7 of 20 steps and gone on: the epsilon of a straight run, to 1e-9."""
    budget = Budget(1.1, 0.01, 0.5, 8.0, 1e-5)
    saved = json.loads(json.dumps(spent(budget, 7).state))
    assert spent(budget, 13, saved).epsilon == pytest.approx(spent(budget, 20).epsilon, abs=1e-9)
    assert spent(budget, 13, saved).facts["steps"] == 20


def test_another_budget_cannot_go_on_with_a_checkpoint() -> None:
    """Its noise was planned for other steps: the sum would be another than promised."""
    budget, other = (Budget(noise, 0.01, 0.5, 8.0, 1e-5) for noise in (1.1, 1.2))
    with pytest.raises(ConfigError, match="the checkpoint was made with noise"):
        Ledger(other, spent(budget, 1).state)


def test_delta_is_far_below_one_in_the_rows() -> None:
    """A tenth of it, 1e-5 at most, or what the config says."""
    deltas = [plan_budget(EIGHT, rows=n, sample_rate=1.0, steps=5).delta for n in (10, 10**6)]
    assert deltas == pytest.approx([1e-5, 1e-7])
    said = DpConfig(target_epsilon=8, target_delta=1e-6)
    assert plan_budget(said, rows=10, sample_rate=1.0, steps=5).delta == 1e-6


def test_a_budget_that_no_noise_keeps_is_refused() -> None:
    """78, with the way out."""
    cfg = DpConfig(target_epsilon=1e-7, target_delta=1e-12)
    with pytest.raises(ConfigError, match=r"epsilon .* cannot be reached in"):
        plan_budget(cfg, rows=10, sample_rate=1.0, steps=10**6)
