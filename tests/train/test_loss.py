"""The step loss is a property of the step, not of its split into micro-batches."""

import pytest
import torch

from medlora.data.micro_batches import IGNORE
from medlora.train.loss import count_targets, summed_nats, summed_target_nats


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
    total = sum(summed_nats(x, y) for x, y in parts) / count_targets(labels)
    (actual,) = torch.autograd.grad(total, logits)

    torch.testing.assert_close(total.detach(), textbook.detach())
    torch.testing.assert_close(actual, expected)


def test_half_precision_logits_are_summed_in_float32(labels: torch.Tensor) -> None:
    """A sum over many bfloat16 terms would lose digits."""
    logits = torch.randn(4, 8, 11, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert summed_nats(logits, labels).dtype == torch.float32


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("targets", [1, 63, 64, 65, 150])
def test_targets_alone_give_the_same_loss_and_gradient(bias: bool, targets: int) -> None:
    """In chunks of 64, which a vocabulary as large as this has; no logit where no target is."""
    torch.manual_seed(0)
    vocabulary = 2**15
    labels = torch.full((2, 100), IGNORE)
    places = torch.randperm(2 * 99)[:targets]
    labels[places // 99, 1 + places % 99] = torch.randint(vocabulary, (targets,))
    head = torch.nn.Linear(6, vocabulary, bias=bias).requires_grad_(requires_grad=False)
    hidden = torch.randn(2, 100, 6, requires_grad=True)
    expected = summed_nats(head(hidden), labels)
    (slope,) = torch.autograd.grad(expected * 3, hidden)
    lean = summed_target_nats(hidden, labels, head)
    (lean_slope,) = torch.autograd.grad(lean * 3, hidden)
    torch.testing.assert_close(lean.detach(), expected.detach())
    torch.testing.assert_close(lean_slope, slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_targets_alone_in_half_precision(labels: torch.Tensor, half: torch.dtype) -> None:
    """As far from the float32 loss and gradient as autocast's own are, or nearer."""
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 11, bias=False).requires_grad_(requires_grad=False)
    hidden = torch.randn(4, 8, 6, requires_grad=True)
    exact = summed_nats(head(hidden), labels)
    (slope,) = torch.autograd.grad(exact, hidden)
    with torch.autocast("cpu", half):
        plain = summed_nats(head(hidden), labels)
        lean = summed_target_nats(hidden, labels, head)
    (plain_slope,), (lean_slope,) = (torch.autograd.grad(x, hidden) for x in (plain, lean))
    assert lean.dtype == torch.float32
    assert lean_slope.dtype == torch.float32
    assert abs(lean - exact) <= 1.5 * abs(plain - exact) + 1e-3
    distance = (plain_slope - slope).abs().max()
    assert (lean_slope - slope).abs().max() <= 1.5 * distance + 1e-4


def test_a_confident_model_still_learns_in_float16(labels: torch.Tensor) -> None:
    """Small slopes are scaled up before they are rounded, as a loss scaler does otherwise."""
    head = torch.nn.Linear(6, 11, bias=False).requires_grad_(requires_grad=False)
    weight = torch.randn(11, 6, generator=torch.Generator().manual_seed(0))
    head.weight.copy_(torch.nn.functional.normalize(weight, dim=1) * 1e-2)
    target = torch.nn.functional.pad(labels[:, 1:], (0, 1)).clamp(min=0)
    hidden = (head.weight[target] * 1e6).requires_grad_()  # all but 1e-9 of the share is its
    nats = summed_nats(head(hidden), labels)
    (slope,) = torch.autograd.grad(nats, hidden)
    with torch.autocast("cpu", torch.float16):
        lean = summed_target_nats(hidden, labels, head)
    (lean_slope,) = torch.autograd.grad(lean * 2**16, hidden)
    assert (lean_slope / 2**16 - slope).norm() < 0.5 * slope.norm()


def test_no_gradient_is_made_where_none_is_wanted(labels: torch.Tensor) -> None:
    """An evaluation pays for the loss alone."""
    head = torch.nn.Linear(6, 11, bias=False)
    with torch.no_grad():
        assert not summed_target_nats(torch.zeros(4, 8, 6), labels, head).requires_grad
