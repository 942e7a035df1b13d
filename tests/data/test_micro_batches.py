"""Micro-batches in any layout: no row is lost, split or mixed up, no padding is learned."""

import numpy as np
import torch

from medlora.data.micro_batches import IGNORE, LENGTHS, Collate, fill_packs, packed, padded
from medlora.data.token_rows import Row


def rows(lengths: list[int]) -> list[Row]:
    """Rows that consist of their index."""
    return [Row(np.full(n, i, dtype=np.int32), np.arange(n) >= 1) for i, n in enumerate(lengths)]


def collate(layout: str, batch_size: int = 2, max_length: int = 8) -> Collate:
    """What lays the rows of a step out."""
    return Collate(layout, batch_size=batch_size, max_length=max_length, pad_id=9)


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
