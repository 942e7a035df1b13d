"""The step loss is a property of the step, not of its split into micro-batches."""

import pytest
import torch

from medlora.data.batches import IGNORE
from medlora.errors import DataError
from medlora.train.loss import count_targets, step_loss


@pytest.fixture
def labels() -> torch.Tensor:
    """Four sequences of eight tokens with 7, 5, 2 and 1 targets."""
    labels = torch.arange(32).reshape(4, 8) % 11
    for row, prompt in enumerate((1, 3, 6, 7)):
        labels[row, :prompt] = IGNORE
    return labels


@pytest.mark.parametrize("split", [(4,), (1, 3), (3, 1), (2, 1, 1), (1, 1, 1, 1)])
def test_gradient_does_not_depend_on_the_split(
    labels: torch.Tensor, split: tuple[int, ...]
) -> None:
    """Any split yields loss and gradient of one textbook mean over all targets."""
    logits = torch.randn(4, 8, 11, generator=torch.Generator().manual_seed(0), requires_grad=True)
    textbook = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    )
    (expected,) = torch.autograd.grad(textbook, logits)

    parts = zip(logits.split(split), labels.split(split), strict=True)
    total = sum(step_loss(x, y, step_targets=count_targets(labels)) for x, y in parts)
    (actual,) = torch.autograd.grad(total, logits)

    torch.testing.assert_close(total.detach(), textbook.detach())
    torch.testing.assert_close(actual, expected)


def test_half_precision_logits_are_summed_in_float32(labels: torch.Tensor) -> None:
    """A sum over many bfloat16 terms would lose digits."""
    logits = torch.randn(4, 8, 11, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert step_loss(logits, labels, step_targets=15).dtype == torch.float32


def test_step_without_targets_names_its_size_and_the_fix() -> None:
    """An all-prompt step stops the run instead of yielding NaN."""
    with pytest.raises(DataError, match=r"step of 2 x 4 tokens has no target\n  fix: give"):
        step_loss(torch.zeros(2, 4, 11), torch.full((2, 4), IGNORE), step_targets=0)
