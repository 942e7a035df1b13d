"""Held-out loss is a mean over tokens, whatever the batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medlora.config import ModelConfig
from medlora.data.batches import eval_loader
from medlora.data.rows import Row
from medlora.errors import DataError
from medlora.evaluate import loss as evaluation
from medlora.evaluate.loss import held_out_loss
from medlora.model.base import load_base

CPU = torch.device("cpu")


def rows() -> list[Row]:
    """Rows with 1, 4, 9 and 16 targets."""
    return [
        Row(np.arange(5, 6 + n * n, dtype=np.int32), np.arange(1 + n * n) >= 1) for n in range(1, 5)
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_it_is_per_token_and_does_not_depend_on_the_batches(
    base_folder: Path, batch_size: int
) -> None:
    """A mean of batch means would give the short rows too much weight."""
    model = load_base(base_folder, ModelConfig(), half=None)
    nats, targets = 0.0, 0
    for row in rows():
        ids = torch.from_numpy(row.ids).long()
        logp = model(ids[None]).logits[0].log_softmax(-1)
        nats -= float(logp[:-1].gather(1, ids[1:, None]).sum())
        targets += row.targets
    found = held_out_loss(model, eval_loader(rows(), batch_size=batch_size, pad_id=0), device=CPU)
    assert found.targets == targets == 30
    assert found.loss == pytest.approx(nats / targets, rel=1e-5)


def test_the_models_mode_is_left_as_it_was(base_folder: Path) -> None:
    """Training goes on with dropout after an evaluation."""
    model = load_base(base_folder, ModelConfig(), half=None).train()
    held_out_loss(model, eval_loader(rows(), batch_size=2, pad_id=0), device=CPU)
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
    batches = list(eval_loader(rows(), batch_size=4, pad_id=0))
    expected = held_out_loss(model, batches, device=CPU)
    original = evaluation.forward

    def small_memory(model, batch):
        if len(batch["input_ids"]) > 1:
            raise torch.OutOfMemoryError
        return original(model, batch)

    monkeypatch.setattr(evaluation, "forward", small_memory)
    found = held_out_loss(model, batches, device=CPU)
    assert found.targets == expected.targets
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
