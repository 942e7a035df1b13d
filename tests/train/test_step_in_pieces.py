"""Memory that runs out costs time, not mathematics; one row that does not limit says what would."""

from pathlib import Path

import pytest
import torch

from medlora.config import LoraConfig, ModelConfig
from medlora.errors import OutOfMemoryError
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.train import step_in_pieces
from medlora.train.forward import Forward
from medlora.train.step_in_pieces import (
    Activations,
    RowLimit,
    free_memory,
    is_out_of_memory,
    pieces_of,
    plan_activations,
)


def batch(lengths: list[int]) -> dict[str, torch.Tensor]:
    """Rows of these lengths, padded on the right; each token is its row's number."""
    width = max(lengths)
    mask = torch.tensor([[1] * n + [0] * (width - n) for n in lengths])
    ids = torch.arange(len(lengths))[:, None] * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": ids}


def test_pieces_hold_every_row_in_order_without_needless_padding() -> None:
    """Nothing is lost, and a short row no longer pays for a long one."""
    pieces = pieces_of([batch([5, 2, 3]), batch([4])], 2)
    assert [tuple(piece["input_ids"].shape) for piece in pieces] == [(2, 5), (1, 3), (1, 4)]
    assert [int(row.max()) for piece in pieces for row in piece["input_ids"]] == [0, 1, 2, 0]


def test_nothing_is_cut_while_nothing_failed() -> None:
    """The batches are the very same objects."""
    parts = [batch([3, 2])]
    assert pieces_of(parts, None)[0] is parts[0]


def test_a_single_row_that_does_not_fit_ends_with_80() -> None:
    """The message has its tokens and three ways out."""
    limit = RowLimit()
    limit.shrink([batch([7] * 5)])
    assert limit.rows == 2
    limit.shrink(pieces_of([batch([7] * 5)], limit.rows))
    assert limit.rows == 1
    with pytest.raises(OutOfMemoryError, match="single row of 7 tokens") as error:
        limit.shrink(pieces_of([batch([7] * 5)], limit.rows))
    assert error.value.exit_code == 80


def test_what_torch_raises_is_recognised() -> None:
    """A real allocation that no machine can serve, and other errors that are none."""
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert is_out_of_memory(error.value)
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_the_plan_is_what_a_micro_batch_keeps(base_folder: Path) -> None:
    """Two short rows foretell a long one: weights are not counted, and nothing is twice."""
    device = torch.device("cpu")
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=4), seed=1)
    model.train()
    forward = Forward(model, targets_only=False)
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.ones(1, 300, dtype=torch.int64)
    row = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = forward.nats(row)
    state = torch.get_rng_state()
    plan = plan_activations(model, forward, positions=300, device=device)
    assert loss.requires_grad
    assert plan.needed == pytest.approx(sum(kept.values()) * step_in_pieces._TEMPORARY, rel=0.03)
    assert torch.equal(torch.get_rng_state(), state)
    assert plan.fit == (plan.needed < 0.9 * plan.free)


def test_what_fits_leaves_a_tenth_free() -> None:
    """The plan is an estimate."""
    assert Activations(needed=90, free=100).fit
    assert not Activations(needed=91, free=100).fit


def test_a_containers_limit_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have far more than this process is allowed."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(
        step_in_pieces, "Path", lambda path: tmp_path if path == "/sys/fs/cgroup" else Path(path)
    )
    assert free_memory(cpu) > 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(cpu) > 2**20
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert free_memory(cpu) == 600000
