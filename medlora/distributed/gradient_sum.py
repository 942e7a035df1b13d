"""Sums whose bits do not depend on how many workers share the terms.

Terms 0..n-1 are the leaves of one binary tree, whatever the number of workers: the left half of
a node are as many leaves as the largest power of two below its number.  A worker has a run of
leaves and adds up the nodes that lie within it; the few that are left over are gathered, and
every worker finishes the same tree.  Floating point addition is not associative, so any order
that depends on the number of workers (a plain all-reduce's, for one) gives other bits.
Source of the shape: RFC 6962, section 2.1.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from medlora.distributed.team import Team

T = TypeVar("T")
BUCKET = 1 << 24  # numbers that are sent at once: 64 MiB for each node and worker


@dataclass(slots=True)
class Nodes(Generic[T]):
    """Sums of neighbouring leaves, from left to right, as few as the tree allows.

    Args:
        add: returns the sum of two; may reuse the left one.
    """

    add: Callable[[T, T], T]
    _nodes: list[tuple[int, int, T]] = field(default_factory=list)  # first leaf, leaves, sum

    def push(self, first: int, leaves: int, value: T) -> None:
        """Add the next node to the right."""
        self._nodes.append((first, leaves, value))
        while len(self._nodes) > 1:
            (start, width, left), (_, other, right) = self._nodes[-2:]
            if width != other or start % (2 * width):
                return
            self._nodes[-2:] = [(start, 2 * width, self.add(left, right))]

    def __iter__(self) -> Iterator[T]:
        return (value for _, _, value in self._nodes)

    def total(self) -> T:
        """Return the sum of all, which must begin with leaf 0."""
        values = list(self)
        while len(values) > 1:
            right, left = values.pop(), values.pop()
            values.append(self.add(left, right))
        return values[0]


def spans(leaves: range) -> list[tuple[int, int]]:
    """Return the nodes (first leaf, leaves) that a run of leaves is made of."""
    nodes: Nodes[tuple[int, int]] = Nodes(lambda left, right: (left[0], left[1] + right[1]))
    for leaf in leaves:
        nodes.push(leaf, 1, (leaf, 1))
    return list(nodes)


class GradientSum:
    """Adds up the micro-batches' gradients of a step, on all workers together.

    Args:
        parameters: whose gradients; the same on every worker.
        team: the workers.
        fast: let the machines add as they like instead; other bits for other numbers of workers.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], team: Team, *, fast: bool) -> None:
        self._parameters, self._team, self._fast = list(parameters), team, fast
        self._seen = torch.zeros(len(self._parameters), dtype=torch.bool)
        self._nodes: Nodes[list[Tensor]] = Nodes(_add)

    def take(self, leaf: int) -> None:
        """Take the gradients as those of a micro-batch; the parameters have none afterwards."""
        taken = []
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                self._seen[index] = True
            taken.append(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
            parameter.grad = None
        self._nodes.push(leaf, 1, taken)

    def give(self, count: int) -> None:
        """Set every parameter's gradient to the sum over all `count` micro-batches.

        Raises:
            PeerLostError: a worker is gone.
        """
        if self._team.size == 1:
            total, seen = self._nodes.total(), self._seen
        else:
            total, seen = self._together(count), self._team.any(self._seen)
        for parameter, gradient, there in zip(self._parameters, total, seen.tolist(), strict=True):
            parameter.grad = gradient if there else None

    def _together(self, count: int) -> list[Tensor]:
        own, total = list(self._nodes), []
        layout = [spans(self._team.share(count, rank=rank)) for rank in range(self._team.size)]
        for some in _buckets(self._parameters):
            flat = [torch.cat([node[index].reshape(-1) for index in some]) for node in own]
            like = [self._parameters[index] for index in some]
            whole = self._sum(flat, layout, like)
            pieces = torch.split(whole, [parameter.numel() for parameter in like])
            total += [
                piece.view_as(parameter) for piece, parameter in zip(pieces, like, strict=True)
            ]
        return total

    def _sum(
        self, flat: list[Tensor], layout: list[list[tuple[int, int]]], like: Sequence[Tensor]
    ) -> Tensor:
        """Return the sum of all workers' nodes of one bucket, [N]."""
        empty = torch.zeros(
            sum(map(Tensor.numel, like)), dtype=like[0].dtype, device=like[0].device
        )
        if self._fast:
            whole = torch.stack(flat).sum(dim=0) if flat else empty
            self._team.add(whole)
            return whole
        most = max(map(len, layout))
        sent = torch.stack([*flat, *[empty] * (most - len(flat))])
        nodes: Nodes[Tensor] = Nodes(Tensor.add)
        for received, spans_there in zip(self._team.gather(sent), layout, strict=True):
            for (first, leaves), value in zip(spans_there, received, strict=False):
                nodes.push(first, leaves, value)
        return nodes.total()


def _buckets(parameters: Sequence[Tensor]) -> Iterator[list[int]]:
    """Yield runs of parameters of one kind that are small enough to be sent at once."""
    some, size = list[int](), 0
    for index, parameter in enumerate(parameters):
        kind = (parameter.dtype, parameter.device)
        last = parameters[some[-1]] if some else parameter
        if some and (size + parameter.numel() > BUCKET or kind != (last.dtype, last.device)):
            yield some
            some, size = [], 0
        some.append(index)
        size += parameter.numel()
    if some:
        yield some


def _add(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    torch._foreach_add_(left, right)
    return left
