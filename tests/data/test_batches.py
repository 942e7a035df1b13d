"""Order is a pure function of (seed, epoch); every row is seen once, in whatever layout."""

import numpy as np
import pytest
import torch

from medlora.data.batches import epoch_order, eval_loader, train_loader
from medlora.data.micro_batches import Collate, count_rows, count_tokens
from medlora.data.token_rows import Row

LAYOUTS = ("packed", "grouped", "plain")


def rows(lengths: list[int]) -> list[Row]:
    """Rows that consist of their index."""
    return [Row(np.full(n, i, dtype=np.int32), np.arange(n) >= 1) for i, n in enumerate(lengths)]


def collate(layout: str, batch_size: int = 2, max_length: int = 8) -> Collate:
    """What lays the rows of a step out."""
    return Collate(layout, batch_size=batch_size, max_length=max_length, pad_id=9)


def test_each_epoch_is_another_permutation_and_always_the_same() -> None:
    """The frozen stream of NumPy's RandomState: the literal is the promise."""
    assert epoch_order(6, seed=42, epoch=0).tolist() == [3, 5, 4, 0, 1, 2]
    assert epoch_order(6, seed=42, epoch=1).tolist() != [3, 5, 4, 0, 1, 2]
    assert sorted(epoch_order(50, seed=1, epoch=3)) == list(range(50))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_epoch_holds_every_row_once(layout: str) -> None:
    """The last step is smaller, no token is lost or repeated, and each step has its own rows."""
    lengths = [3, 8, 2, 5, 1, 7, 4]
    loader = train_loader(rows(lengths), collate(layout), step_rows=4, seed=0)
    loader.batch_sampler.set_epoch(4)
    steps = list(loader)
    assert len(loader) == len(steps) == 2
    assert [sum(map(count_rows, step)) for step in steps] == [4, 3]
    assert sum(count_tokens(batch) for step in steps for batch in step) == sum(lengths)
    order = epoch_order(7, seed=0, epoch=4).tolist()
    for step, expected in zip(steps, (order[:4], order[4:]), strict=True):
        seen = np.concatenate([b["labels"].flatten().numpy() for b in step])
        count = {index: int((seen == index).sum()) for index in range(7)}
        assert count == {i: lengths[i] - 1 if i in expected else 0 for i in range(7)}


def test_the_walk_begins_where_it_is_told() -> None:
    """A resumed epoch has the same steps."""
    loader = train_loader(rows([3] * 7), collate("packed"), step_rows=2, seed=0)
    loader.batch_sampler.set_epoch(1)
    whole = list(loader)
    loader.batch_sampler.set_epoch(1, start=2)
    for late, step in zip(list(loader), whole[2:], strict=True):
        pairs = zip(late, step, strict=True)
        assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in pairs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_evaluation_sees_every_row_once(layout: str) -> None:
    """Longest first, for little padding."""
    lengths = [2, 8, 5, 1, 6]
    lists = list(eval_loader(rows(lengths), collate(layout), batch_size=4))
    assert sum(count_rows(batch) for batches in lists for batch in batches) == 5
    assert sum(count_tokens(batch) for batches in lists for batch in batches) == sum(lengths)
    assert count_tokens(lists[-1][0]) == 1
