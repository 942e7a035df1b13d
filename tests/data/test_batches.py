"""Order is a pure function of (seed, epoch); padding carries no loss."""

import numpy as np
import torch

from medlora.data.batches import IGNORE, epoch_order, eval_loader, train_loader
from medlora.data.rows import Row


def rows(lengths: list[int]) -> list[Row]:
    """Rows whose first token is their index."""
    return [Row(np.full(n, i, dtype=np.int32), np.arange(n) >= 1) for i, n in enumerate(lengths)]


def test_each_epoch_is_another_permutation_and_always_the_same() -> None:
    """The frozen stream of NumPy's RandomState: the literal is the promise."""
    assert epoch_order(6, seed=42, epoch=0).tolist() == [3, 5, 4, 0, 1, 2]
    assert epoch_order(6, seed=42, epoch=1).tolist() != [3, 5, 4, 0, 1, 2]
    assert sorted(epoch_order(50, seed=1, epoch=3)) == list(range(50))


def test_an_epoch_holds_every_row_once() -> None:
    """The last batch is smaller, and none is lost or repeated."""
    loader = train_loader(rows([3] * 7), batch_size=2, seed=0, pad_id=9)
    loader.batch_sampler.set_epoch(4)
    batches = list(loader)
    assert [len(batch["labels"]) for batch in batches] == [2, 2, 2, 1]
    assert len(loader) == 4
    assert sorted(int(i) for b in batches for i in b["input_ids"][:, 0]) == list(range(7))


def test_padding_is_masked_and_ignored() -> None:
    """Right padding: mask 0 and label IGNORE there; prompt tokens have label IGNORE too."""
    (batch,) = eval_loader(rows([2, 4]), batch_size=2, pad_id=9)
    assert batch["input_ids"].tolist() == [[1, 1, 1, 1], [0, 0, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORE, 1, 1, 1], [IGNORE, 0, IGNORE, IGNORE]]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
