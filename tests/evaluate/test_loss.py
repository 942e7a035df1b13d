"""Held-out loss is a mean over tokens, whatever the batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medlora.config import ModelConfig
from medlora.data.batches import eval_loader
from medlora.data.micro_batches import Collate
from medlora.data.token_rows import Row
from medlora.errors import DataError
from medlora.evaluate.loss import held_out_loss
from medlora.model.base import load_base
from medlora.model.packed_attention import attend_by_record
from medlora.train.forward import Forward

CPU = torch.device("cpu")


def rows() -> list[Row]:
    """Rows with 1, 4, 9 and 16 targets."""
    return [
        Row(np.arange(5, 6 + n * n, dtype=np.int32), np.arange(1 + n * n) >= 1) for n in range(1, 5)
    ]


def batches(batch_size: int, layout: str = "plain"):
    """The rows in batches."""
    collate = Collate(layout, batch_size=batch_size, max_length=17, pad_id=0)
    return eval_loader(rows(), collate, batch_size=batch_size)


@pytest.mark.parametrize("layout", ["packed", "grouped", "plain"])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_it_is_per_token_and_does_not_depend_on_the_batches(
    base_folder: Path, batch_size: int, layout: str
) -> None:
    """A mean of batch means would give the short rows too much weight."""
    model = load_base(base_folder, ModelConfig(), half=None)
    nats, targets = 0.0, 0
    for row in rows():
        ids = torch.from_numpy(row.ids).long()
        logp = model(ids[None]).logits[0].log_softmax(-1)
        nats -= float(logp[:-1].gather(1, ids[1:, None]).sum())
        targets += row.targets
    attend_by_record(model)
    found = held_out_loss(model, batches(batch_size, layout), device=CPU)
    assert found.targets == targets == 30
    assert found.loss == pytest.approx(nats / targets, rel=1e-5)


def test_the_models_mode_is_left_as_it_was(base_folder: Path) -> None:
    """Training goes on with dropout after an evaluation."""
    model = load_base(base_folder, ModelConfig(), half=None).train()
    held_out_loss(model, batches(2), device=CPU)
    assert model.training


def test_nothing_to_measure_is_an_error(base_folder: Path) -> None:
    """No batch, no figure."""
    with pytest.raises(DataError):
        held_out_loss(load_base(base_folder, ModelConfig(), half=None), [], device=CPU)


def test_a_batch_that_does_not_fit_is_measured_in_pieces(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same loss, and no batch is counted twice."""
    model = load_base(base_folder, ModelConfig(), half=None)
    expected = held_out_loss(model, batches(4), device=CPU)
    original = Forward.nats

    def small_memory(self, batch):
        if len(batch["input_ids"]) > 1:
            raise torch.OutOfMemoryError
        return original(self, batch)

    monkeypatch.setattr(Forward, "nats", small_memory)
    found = held_out_loss(model, batches(4), device=CPU)
    assert found.targets == expected.targets
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
