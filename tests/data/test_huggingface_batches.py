"""Dicts become batches with the labels that they came with."""

import numpy as np
import pytest
import torch

from medlora.data.huggingface_batches import PadFeatures
from medlora.data.micro_batches import padded
from medlora.data.token_rows import Row
from medlora.errors import DataError


def test_labels_stay_masked_and_padding_is_never_learned() -> None:
    """The same batch as our own rows make, whichever way the dicts hold their numbers."""
    ids = [[5, 6, 7, 8], [9, 10]]
    labels = [[-100, -100, 7, 8], [-100, 10]]
    plain = [{"input_ids": i, "labels": y} for i, y in zip(ids, labels, strict=True)]
    tensors = [{name: torch.tensor(value) for name, value in row.items()} for row in plain]
    rows = [
        Row(np.array(i, dtype=np.int32), np.array(y) != -100)
        for i, y in zip(ids, labels, strict=True)
    ]
    expected = padded(rows, pad_id=3)
    for features in (plain, tensors):
        batch = PadFeatures(3)(features)
        assert set(batch) == set(expected)
        for name, tensor in expected.items():
            assert torch.equal(batch[name], tensor), name


def test_a_given_attention_mask_is_kept() -> None:
    """A row that hides a position of its own goes on hiding it."""
    row = {"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "attention_mask": [0, 1, 1]}
    short = {"input_ids": [1], "labels": [1]}
    assert PadFeatures(0)([row, short])["attention_mask"].tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"input_ids": [1, 2]}, "has no labels"),
        ({"labels": [1, 2]}, "has no input_ids"),
        ({"input_ids": [1, 2], "labels": [1]}, "2 input_ids, 2 attention_mask, 1 labels"),
    ],
)
def test_a_row_that_would_train_on_something_else_is_refused(row, found: str) -> None:
    """Above all one without labels, whose prompt would be learned."""
    with pytest.raises(DataError, match=found):
        PadFeatures(0)([row])
