"""Whether a step's activations fit, and when memory runs out: the same step in smaller pieces.

The loss is a sum over rows divided once by the targets of the step, so how rows fall into
micro-batches changes neither loss nor gradient beyond rounding (and which dropout they draw).

B rows, T positions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from medlora.data.micro_batches import Batch, count_rows, count_tokens, cut
from medlora.errors import OutOfMemoryError
from medlora.runtime.library_errors import ran_out_of_memory
from medlora.runtime.machine import available_memory
from medlora.runtime.memory import describe_limits
from medlora.train.forward import Forward

_PROBE = (32, 96)  # positions of the two rows whose activations are counted
_TEMPORARY = 1.3  # what a pass needs beside what it keeps, as a factor
_USABLE = 0.9  # of the free memory


@dataclass(slots=True)
class RowLimit:
    """How many rows of a micro-batch fit at most; None while nothing failed."""

    rows: int | None = None

    def shrink(self, pieces: Sequence[Batch]) -> None:
        """Halve the rows after a failure.

        Raises:
            OutOfMemoryError: they were single rows already.
        """
        largest = max(map(count_rows, pieces))
        if largest == 1:
            tokens = max(map(count_tokens, pieces))
            limits = describe_limits()
            raise OutOfMemoryError(
                f"out of memory with a single row of {tokens} tokens"
                f"{f': {limits}' if limits else ''}",
                fix="shorten data.max_length, set training.gradient_checkpointing: true or "
                "model.load_in_4bit: true, or use a device with more memory",
            )
        self.rows = largest // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or ran_out_of_memory(error)


@contextmanager
def memory_errors(problem: str, *, fix: str) -> Iterator[None]:
    """Turn a refusal of memory where nothing can be made smaller into advice.

    Raises:
        OutOfMemoryError: memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(problem, fix=fix) from error


def pieces_of(parts: Sequence[Batch], rows: int | None) -> list[Batch]:
    """Return micro-batches of at most so many rows, in order; as they are for None."""
    return list(parts) if rows is None else [piece for part in parts for piece in cut(part, rows)]


@dataclass(frozen=True, slots=True)
class Activations:
    """What a micro-batch keeps for its gradient, against what is free; in bytes."""

    needed: int
    free: int

    @property
    def fit(self) -> bool:
        """Tell whether nothing has to be computed twice."""
        return self.needed <= self.free * _USABLE


def plan_activations(
    model: nn.Module, forward: Forward, *, positions: int, device: torch.device
) -> Activations:
    """Count what this very model keeps for a gradient, by two short passes.

    Args:
        model: in training mode.
        forward: calls it.
        positions: of the largest micro-batch, padding counted.
        device: where the model is.
    """
    small, large = (_kept_bytes(model, forward, length, device) for length in _PROBE)
    a_position = max(0, large - small) / (_PROBE[1] - _PROBE[0])
    needed = int((small + a_position * (positions - _PROBE[0])) * _TEMPORARY)
    return Activations(needed, free_memory(device))


def _kept_bytes(model: nn.Module, forward: Forward, length: int, device: torch.device) -> int:
    own = {
        tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())
    }
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.zeros(1, length, dtype=torch.int64, device=device)
    row = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with torch.random.fork_rng(), saved_tensors_hooks(note, lambda tensor: tensor):
        loss = forward.nats(row)  # alive until its graph is counted
    del loss
    return sum(kept.values())


def free_memory(device: torch.device) -> int:
    """Return the bytes that a process can still have: of the GPU, the machine or its container.

    Source: cgroup v2, memory.max and memory.current.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(available_memory(), _container_rest(Path("/sys/fs/cgroup")))


def _container_rest(folder: Path) -> int:
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        return limit - int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or `max`
        return 2**63
