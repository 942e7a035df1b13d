"""Memory that runs out costs time, not mathematics; one row that does not fit says what would."""

import pytest
import torch

from medlora.errors import OutOfMemoryError
from medlora.train.memory import Fit, is_out_of_memory, pieces_of


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
    fit = Fit()
    fit.shrink([batch([7] * 5)])
    assert fit.rows == 2
    fit.shrink(pieces_of([batch([7] * 5)], fit.rows))
    assert fit.rows == 1
    with pytest.raises(OutOfMemoryError, match="single row of 7 tokens") as error:
        fit.shrink(pieces_of([batch([7] * 5)], fit.rows))
    assert error.value.exit_code == 80


def test_what_torch_raises_is_recognised() -> None:
    """A real allocation that no machine can serve, and other errors that are none."""
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert is_out_of_memory(error.value)
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
