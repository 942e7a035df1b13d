"""Order is a pure function of (seed, epoch); no layout loses, splits or mixes up a row."""

import numpy as np
import pytest
import torch

from medlora.data.batches import (
    IGNORE,
    LENGTHS,
    Collate,
    count_rows,
    count_tokens,
    epoch_order,
    eval_loader,
    fill_packs,
    packed,
    padded,
    train_loader,
)
from medlora.data.rows import Row

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


def test_padding_is_masked_and_ignored() -> None:
    """Right padding: mask 0 and label IGNORE there; prompt tokens have label IGNORE too."""
    batch = padded(rows([4, 2]), pad_id=9)
    assert batch["input_ids"].tolist() == [[0, 0, 0, 0], [1, 1, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORE, 0, 0, 0], [IGNORE, 1, IGNORE, IGNORE]]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_a_pack_says_where_its_records_begin() -> None:
    """Positions begin anew; the first token of a record is no target, even if it is learnt."""
    learnt = Row(np.array([4, 5], dtype=np.int32), np.array([True, True]))
    batch = packed([*rows([3]), learnt])
    assert batch["input_ids"].tolist() == [[0, 0, 0, 4, 5]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert batch["labels"].tolist() == [[IGNORE, 0, 0, IGNORE, 5]]
    assert batch[LENGTHS].tolist() == [3, 2]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_rows_of_like_length_share_a_batch() -> None:
    """Grouping needs less padding than the order of the file."""
    lengths = [1, 8, 1, 8]
    sizes = {
        layout: [tuple(b["input_ids"].shape) for b in collate(layout)(rows(lengths))]
        for layout in ("grouped", "plain")
    }
    assert sizes == {"grouped": [(2, 8), (2, 1)], "plain": [(2, 8), (2, 8)]}


def test_packs_are_few_and_even_and_never_over_their_capacity() -> None:
    """Against the counted bound, for many random steps; a row is never split."""
    draw = np.random.RandomState(0)
    for _ in range(300):
        lengths = draw.randint(1, 65, size=draw.randint(1, 30)).tolist()
        packs = fill_packs(lengths, 64)
        loads = [sum(lengths[index] for index in pack) for pack in packs]
        assert sorted(index for pack in packs for index in pack) == list(range(len(lengths)))
        assert max(loads) <= 64
        assert len(packs) <= np.ceil(11 / 9 * np.ceil(sum(lengths) / 64) + 1)  # Johnson's bound
        assert packs == fill_packs(lengths, 64)
    assert fill_packs([5, 5, 5, 5, 4], 20) == [[0, 2, 4], [1, 3]]  # 14 and 10, not 20 and 4
    assert fill_packs([70, 3], 64) == [[0], [1]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_evaluation_sees_every_row_once(layout: str) -> None:
    """Longest first, for little padding."""
    lengths = [2, 8, 5, 1, 6]
    lists = list(eval_loader(rows(lengths), collate(layout), batch_size=4))
    assert sum(count_rows(batch) for batches in lists for batch in batches) == 5
    assert sum(count_tokens(batch) for batches in lists for batch in batches) == sum(lengths)
    assert count_tokens(lists[-1][0]) == 1
