"""Rows are drawn one by one, with the same chance, and nobody can tell which."""

import numpy as np
import pytest
import torch

from medlora.data.micro_batches import Collate
from medlora.data.poisson import PoissonSteps, private_loader
from medlora.data.token_rows import Row


def test_every_row_has_the_same_chance_and_steps_differ_in_size() -> None:
    """A tenth each, independently: the sizes scatter as a binomial's do."""
    steps = PoissonSteps(200, 20, entropy=np.random.default_rng(1))
    drawn = [step for _ in range(100) for step in steps]
    counts = np.bincount(np.concatenate(drawn), minlength=200)
    assert (len(steps), steps.rate) == (10, 0.1)
    assert len(drawn) == 1000
    assert (abs(counts - 100) < 5 * np.sqrt(90)).all()
    assert np.var([len(step) for step in drawn]) == pytest.approx(200 * 0.09, rel=0.15)


def test_torchs_seed_tells_nothing_about_the_draws() -> None:
    """`training.seed` is in the manifest; whoever knows it must not know the rows."""
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        drawn.append(list(PoissonSteps(50, 10, entropy=np.random.default_rng())))
    assert drawn[0] != drawn[1]


def test_a_step_may_be_empty_and_a_small_split_is_drawn_whole() -> None:
    """No row is a step too; a rate is never over 1."""
    rows = [Row(np.arange(3, dtype=np.int32), np.ones(3, dtype=bool))] * 2
    collate = Collate("grouped", batch_size=2, max_length=8, pad_id=0)
    loader = private_loader(rows, collate, step_rows=1, entropy=np.random.default_rng(3))
    sizes = [sum(len(part["input_ids"]) for part in step) for _ in range(20) for step in loader]
    assert set(sizes) == {0, 1, 2}
    assert PoissonSteps(3, 8, entropy=np.random.default_rng()).rate == 1.0
