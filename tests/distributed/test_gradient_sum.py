"""One order of addition, however many workers share the terms."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from medlora.distributed.gradient_sum import GradientSum, Nodes, spans
from medlora.distributed.team import Team


def _bracketed(leaves: int) -> str:
    """The tree by its definition: on the left, the largest power of two below the number."""

    def node(first: int, count: int) -> str:
        if count == 1:
            return str(first)
        left = 1 << (count - 1).bit_length() - 1
        return f"({node(first, left)}+{node(first + left, count - left)})"

    return node(0, leaves)


@pytest.mark.parametrize("leaves", range(1, 35))
def test_any_number_of_workers_adds_up_the_same_tree(leaves: int) -> None:
    """Each leaf once, in the brackets of the definition, for 1 to 9 workers."""
    for size in range(1, 10):
        team = Team()
        team.size = size
        total: Nodes[str] = Nodes(lambda one, two: f"({one}+{two})")
        for rank in range(size):
            share = team.share(leaves, rank=rank)
            own: Nodes[str] = Nodes(lambda one, two: f"({one}+{two})")
            for leaf in share:
                own.push(leaf, 1, str(leaf))
            for (first, count), value in zip(spans(share), own, strict=True):
                total.push(first, count, value)
        assert total.total() == _bracketed(leaves)


def _parameters() -> list[nn.Parameter]:
    torch.manual_seed(1)
    shapes = [(3, 5), (7,), (2, 2), (4,)]
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def _summed(team: Team, leaves: int, *, fast: bool = False) -> list[torch.Tensor | None]:
    """Gradients that do not add up exactly; the last parameter never has one."""
    parameters = _parameters()
    total = GradientSum(parameters, team, fast=fast)
    for leaf in team.share(leaves):
        torch.manual_seed(leaf)
        for one in parameters[:-1]:
            one.grad = torch.randn(one.shape) * 10.0 ** (leaf % 5)
        if leaf % 3 == 1:
            parameters[0].grad = None
        total.take(leaf)
    total.give(leaves)
    return [one.grad for one in parameters]


@pytest.mark.parametrize("leaves", [1, 3, 8, 13])
def test_gradients_have_the_same_bits_on_1_2_and_4_workers(
    workers: Callable[..., list[list[torch.Tensor | None]]], leaves: int
) -> None:
    """Also where a worker has nothing to do, or a parameter has no gradient."""
    alone = _summed(Team(), leaves)
    assert alone[-1] is None
    for size in (2, 4):
        for found in workers(size, lambda team: _summed(team, leaves)):
            assert found[-1] is None
            for one, two in zip(alone[:-1], found[:-1], strict=True):
                assert one is not None
                assert two is not None
                assert torch.equal(one, two)


def test_the_fast_sum_is_the_same_to_rounding(
    workers: Callable[..., list[list[torch.Tensor]]],
) -> None:
    """What `training.gradient_reduction: all_reduce` gives."""
    alone = _summed(Team(), 7)
    for found in workers(2, lambda team: _summed(team, 7, fast=True)):
        for one, two in zip(alone[:-1], found[:-1], strict=True):
            assert one is not None
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-3)


def test_gradients_are_sent_in_buckets(
    workers: Callable[..., list[list[torch.Tensor | None]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket of one parameter each adds up to the same."""
    alone = _summed(Team(), 5)
    monkeypatch.setattr("medlora.distributed.gradient_sum.BUCKET", 1)
    for found in workers(2, lambda team: _summed(team, 5)):
        for one, two in zip(alone[:-1], found[:-1], strict=True):
            assert one is not None
            assert two is not None
            assert torch.equal(one, two)
