"""The workers of a run: what they tell each other, and how all of them do the same.

Numbers and files travel as CPU tensors over gloo, also where the gradients use NCCL: a worker
that waits then holds no GPU, and one whose connection ends tells its peers at once.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from medlora.errors import StoppedError

T = TypeVar("T")
_FINE, _STOPPED, _FULL = range(3)


class InterruptError(Exception):
    """A signal was noted; raised only where nothing is half done."""


class PeerLostError(StoppedError):
    """Another worker is gone; the weights are as after the last completed step."""

    def __init__(self) -> None:
        super().__init__(
            "another worker of this run is gone",
            fix="run it again: it resumes from the newest checkpoint",
        )


class Team:
    """All workers of a run; this one alone where torch.distributed is not set up.

    Attributes:
        rank: of this worker, from 0; the first one leads: it alone writes and prints.
        size: how many there are.
        in_step: whether a forward pass takes all workers at once, as sharded weights do: then
            nobody may be a pass ahead, or leave one out.
    """

    def __init__(self, *, local_rank: int = 0) -> None:
        there = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if there else (0, 1)
        self._local_rank = local_rank
        self.in_step = False

    @property
    def leads(self) -> bool:
        """Tell whether this worker is the one that writes."""
        return self.rank == 0

    def share(self, count: int, *, rank: int | None = None) -> range:
        """Return which of `count` things in a row are a worker's: as many for each, within one."""
        rank = self.rank if rank is None else rank
        return range(rank * count // self.size, (rank + 1) * count // self.size)

    def turns(self, count: int) -> int:
        """Return how many passes over `count` things a worker makes, empty ones counted."""
        return -(-count // self.size) if self.in_step else len(self.share(count))

    def poll(self, ask: Callable[[], None]) -> None:
        """Ask whether to go on; in step, all workers stop if one is to.

        Raises:
            InterruptError: no.
        """
        if not self.in_step:
            ask()
            return
        with self.all_gather_or_raise():
            ask()

    @contextmanager
    def all_gather_or_raise(
        self, *, full: Callable[[BaseException], bool] = lambda _: False
    ) -> Iterator[list[float]]:
        """Do this worker's share in the block; after it, either all workers go on or none does.

        Args:
            full: tells whether an exception means that memory ran out.

        Yields:
            A list for this worker's numbers; after the block it holds those of all workers, in
            the order of their ranks.

        Raises:
            InterruptError: on all workers, if any was interrupted.
            torch.OutOfMemoryError: on all workers, if any ran out of memory.
            PeerLostError: one of them is gone.
        """
        numbers = list[float]()
        if self.size == 1:
            yield numbers
            return
        outcome = _FINE
        try:
            yield numbers
        except InterruptError:
            outcome = _STOPPED
        except Exception as error:
            if self.in_step and _is_of_a_connection(error):
                raise PeerLostError from error
            if not full(error):
                raise  # this process ends; the others see the connection close
            outcome = _FULL
        states = self.gather(torch.tensor([outcome, len(numbers)])).tolist()
        outcomes, counts = zip(*states, strict=True)
        if _STOPPED in outcomes:
            raise InterruptError
        if _FULL in outcomes:
            raise torch.OutOfMemoryError
        numbers[:] = self._all_numbers(numbers, counts)

    def _all_numbers(self, numbers: Sequence[float], counts: Sequence[int]) -> list[float]:
        """Return every worker's numbers, as many as it has, in the order of their ranks."""
        if not max(counts):
            return []
        padded = torch.zeros(max(counts), dtype=torch.float64)
        padded[: len(numbers)] = torch.tensor(numbers, dtype=torch.float64)
        rows = self.gather(padded).tolist()
        return [number for row, count in zip(rows, counts, strict=True) for number in row[:count]]

    def lead(self, work: Callable[[], object]) -> None:
        """Have the first worker do something alone, and the others wait for its end.

        In step, all do it: it may need a forward pass.

        Raises:
            InterruptError: on all workers, if the first was interrupted.
            PeerLostError: one of them is gone.
        """
        with self.all_gather_or_raise():
            if self.leads or self.in_step:
                work()

    def decide(self, vote: bool) -> bool:
        """Return on all workers whether any of them votes yes."""
        return bool(self.any(torch.tensor([vote])))

    def broadcast(self, value: T) -> T:
        """Return the first worker's value on all workers; the others' are not looked at.

        Args:
            value: of JSON's types.
        """
        if self.size == 1:
            return value
        content = {"value": json.dumps(value).encode()} if self.leads else None
        received: T = json.loads(self.broadcast_files(content, ("value",))["value"])
        return received

    def any(self, flags: Tensor) -> Tensor:
        """Return which flags are set on any worker, bool [N] like what it is given."""
        return self.gather(flags.to(torch.uint8)).any(dim=0) if self.size > 1 else flags

    def broadcast_files(
        self, files: dict[str, bytes] | None, names: Sequence[str]
    ) -> dict[str, bytes]:
        """Return the first worker's {name: content}; empty where that has None.

        Args:
            files: of the first worker; the others' are not looked at.
            names: all that it may have.
        """
        if self.size == 1:
            return files or {}
        sizes = torch.tensor([len((files or {}).get(name, b"")) for name in names])
        with _peers():
            dist.broadcast(sizes, src=0)
            received = {}
            for name, size in zip(names, sizes.tolist(), strict=True):
                if not size:
                    continue
                content = torch.empty(size, dtype=torch.uint8)
                if self.leads:
                    content = torch.frombuffer(bytearray((files or {})[name]), dtype=torch.uint8)
                dist.broadcast(content, src=0)
                received[name] = content.numpy().tobytes()
        return received

    @contextmanager
    def first_here(self) -> Iterator[None]:
        """Let the first worker of each machine do something before its others, who find it done."""
        if self._local_rank:
            self.wait()
        yield
        if not self._local_rank:
            self.wait()

    def wait(self) -> None:
        """Wait until every worker is here."""
        with self.all_gather_or_raise():
            pass

    def gather(self, values: Tensor) -> Tensor:
        """Return every worker's tensor of one shape, [size, *shape], on its device."""
        with _peers():
            parts = [torch.empty_like(values) for _ in range(self.size)]
            dist.all_gather(parts, values)
        return torch.stack(parts)

    def add(self, values: Tensor) -> None:
        """Replace a tensor by the sum of every worker's, in whatever order is fast."""
        with _peers():
            dist.all_reduce(values)

    def leave(self) -> None:
        """End the connections; nothing may be said afterwards."""
        if self.size > 1:
            dist.destroy_process_group()


def _is_of_a_connection(error: Exception) -> bool:
    """Tell whether a collective within a model failed; gloo has no class of its own for it."""
    return isinstance(error, dist.DistError) or (
        type(error) is RuntimeError and "gloo" in str(error)
    )


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what torch makes of a connection that ended
        raise PeerLostError from error
