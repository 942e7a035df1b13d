"""Early stopping counts what is no improvement; convergence compares two windows."""

import json
import math

import numpy as np
import pytest

import medlora
from medlora.train.stopping import EarlyStopping, detect_convergence

NAN, INF = math.nan, math.inf


def feed(stopper: EarlyStopping, *losses: float) -> list[bool]:
    """The verdict after each loss."""
    return [stopper(loss) for loss in losses]


def test_it_stops_after_patience_evaluations_without_a_new_best() -> None:
    """An improvement starts the count again; the verdict comes at the last straw."""
    stopper = EarlyStopping(patience=2, min_delta=0.1)
    assert feed(stopper, 3.0, 3.1, 2.0, 2.5, 1.95) == [False, False, False, False, True]
    assert (stopper.best_loss, stopper.patience_counter, stopper.should_stop) == (2.0, 2, True)


def test_the_defaults_are_the_seeds() -> None:
    """Five evaluations, a thousandth of a nat."""
    stopper = EarlyStopping()
    assert (stopper.patience, stopper.min_delta) == (5, 0.001)
    assert (stopper.best_loss, stopper.patience_counter, stopper.should_stop) == (INF, 0, False)
    assert feed(stopper, *[1.0] * 6) == [False] * 5 + [True]


def test_an_improvement_of_exactly_min_delta_is_none() -> None:
    """It has to be more; with 0 any lower loss will do."""
    assert feed(EarlyStopping(patience=1, min_delta=0.5), 1.0, 0.5) == [False, True]
    assert feed(EarlyStopping(patience=1, min_delta=0), 1.0, math.nextafter(1, 0)) == [False, False]


def test_small_gains_add_up() -> None:
    """The best stays what it was until it is beaten by enough: creeping down is progress."""
    stopper = EarlyStopping(patience=3, min_delta=0.1)
    assert not any(feed(stopper, 1.0, 0.95, 0.89, 0.85, 0.78))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_loss_that_is_no_number_never_counts_as_an_improvement(bad: float) -> None:
    """Not as the first one, not later, and it leaves the best alone."""
    stopper = EarlyStopping(patience=3)
    assert feed(stopper, bad, 2.0, bad, bad, bad) == [False, False, False, False, True]
    assert stopper.best_loss == 2.0


def test_the_verdict_is_final() -> None:
    """A late improvement is recorded and changes nothing."""
    stopper = EarlyStopping(patience=1)
    assert feed(stopper, 1.0, 1.0, 0.5) == [False, True, True]
    assert stopper.best_loss == 0.5


@pytest.mark.parametrize("before", [0, 1, 3])
def test_it_goes_on_from_a_checkpoint(before: int) -> None:
    """Through JSON text, even before the first loss, as if nothing had happened."""
    losses = [2.0, 1.0, NAN, 1.2, 0.5, 0.6, 0.6, 0.6]
    straight, first, second = (EarlyStopping(patience=3) for _ in range(3))
    feed(first, *losses[:before])
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert feed(second, *losses[before:]) == feed(straight, *losses)[before:]
    assert second.state_dict() == straight.state_dict()


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"best_loss": "low", "patience_counter": 0, "should_stop": False},
        {"best_loss": NAN, "patience_counter": 0, "should_stop": False},
        {"best_loss": 1.0, "patience_counter": -1, "should_stop": False},
        {"best_loss": 1.0, "patience_counter": 1, "should_stop": 0},
    ],
)
def test_a_state_that_is_none_is_refused(state: dict[str, object]) -> None:
    """And nothing of it is taken over."""
    stopper = EarlyStopping()
    with pytest.raises(ValueError, match="not a state of EarlyStopping"):
        stopper.load_state_dict(state)
    assert stopper.state_dict() == EarlyStopping().state_dict()


@pytest.mark.parametrize("patience", [0, -1, 1.5, True, "5", None])
def test_a_bad_patience_is_refused(patience) -> None:
    """It counts evaluations."""
    with pytest.raises(ValueError, match="patience must be a whole number of at least 1"):
        EarlyStopping(patience=patience)


@pytest.mark.parametrize("bad", [-0.001, NAN, INF, True, "0.1", None])
def test_a_bad_margin_is_refused(bad) -> None:
    """Negative, it would take a worse loss for a better one; NaN would compare false for ever."""
    with pytest.raises(ValueError, match="min_delta must be a number of at least 0"):
        EarlyStopping(min_delta=bad)
    with pytest.raises(ValueError, match="threshold must be a number of at least 0"):
        detect_convergence([1.0] * 20, threshold=bad)


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_bad_window_is_refused(size) -> None:
    """A window of nothing has no mean."""
    with pytest.raises(ValueError, match="window_size must be a whole number of at least 1"):
        detect_convergence([1.0] * 20, window_size=size)


def test_two_windows_are_needed() -> None:
    """19 flat losses say nothing yet, 20 do; none at all is no error."""
    assert not detect_convergence([])
    assert not detect_convergence([1.0] * 19)
    assert detect_convergence([1.0] * 20)


def test_only_the_last_two_windows_count() -> None:
    """What fell long ago and stands still now has converged."""
    assert detect_convergence([9.0, 8.0, NAN, 1.0, 1.0, 1.0, 1.0], window_size=2)
    assert not detect_convergence([1.0, 1.0, 9.0, 9.0, 1.0, 1.0], window_size=2)


@pytest.mark.parametrize(
    ("older", "recent", "converged"),
    [
        (2.0, 1.9, False),  # 5 %
        (2.0, 1.99, True),  # 0.5 %
        (2.0, 1.98, False),  # exactly the threshold
        (2.0, 3.0, True),  # rising: nothing to gain either
        (0.0, 0.0, True),
        (0.0, 1.0, True),
        (0.0, -1e-9, False),
        (-2.0, -2.01, True),
        (-2.0, -2.2, False),  # lower is better below zero too
        (-2.0, -1.0, True),
        (1e308, 1e308, True),  # whose sum would overflow
        (1e308, -1e308, False),
        (NAN, 1.0, False),
        (1.0, NAN, False),
        (INF, 1.0, False),
        (1.0, INF, False),
    ],
)
def test_the_improvement_is_relative_to_the_earlier_mean(
    older: float, recent: float, converged: bool
) -> None:
    """At 1 %: falling, rising, zero, negative, huge and not a number."""
    assert detect_convergence([older] * 3 + [recent] * 3, 3, 0.01) is converged


def test_it_is_the_seeds_rule_for_ordinary_losses() -> None:
    """The same verdict as its three lines of numpy on noisy falling curves."""
    generator = np.random.default_rng(0)
    verdicts = set()
    for decay in (0.9, 0.99, 0.9999, 1.0, 1.01):
        losses = 2 * decay ** np.arange(40) + generator.normal(0, 1e-4, 40)
        older, recent = losses[-20:-10].mean(), losses[-10:].mean()
        assert detect_convergence(losses.tolist()) == ((older - recent) / older < 0.001)
        verdicts.add(detect_convergence(losses.tolist()))
    assert verdicts == {True, False}


def test_both_are_public() -> None:
    """As the seed names them."""
    assert medlora.EarlyStopping is EarlyStopping
    assert medlora.detect_convergence is detect_convergence
    assert {"EarlyStopping", "detect_convergence"} <= set(medlora.__all__)
