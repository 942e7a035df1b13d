"""When memory runs out: the same step in smaller pieces.

The loss is a sum over rows divided once by the targets of the step, so how rows fall into
micro-batches changes neither loss nor gradient beyond rounding (and which dropout they draw).

B rows, T positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medlora.errors import OutOfMemoryError

Batch = dict[str, Tensor]
# What torch raises as a plain RuntimeError: its allocator on a CPU, and cuBLAS on a GPU.
_MESSAGES = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA out of memory")


@dataclass(slots=True)
class Fit:
    """How many rows of a micro-batch fit at most; None while nothing failed."""

    rows: int | None = None

    def shrink(self, pieces: Sequence[Batch]) -> None:
        """Halve the rows after a failure.

        Raises:
            OutOfMemoryError: they were single rows already.
        """
        largest = max(len(piece["input_ids"]) for piece in pieces)
        if largest == 1:
            tokens = max(int(piece["attention_mask"].sum()) for piece in pieces)
            raise OutOfMemoryError(
                f"out of memory with a single row of {tokens} tokens",
                fix="shorten data.max_length, set training.gradient_checkpointing: true or "
                "model.load_in_4bit: true, or take a device with more memory",
            )
        self.rows = largest // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES)


def pieces_of(parts: Sequence[Batch], rows: int | None) -> list[Batch]:
    """Return micro-batches of at most so many rows, in order; as they are for None."""
    return list(parts) if rows is None else [piece for part in parts for piece in _cut(part, rows)]


def _cut(part: Batch, rows: int) -> Iterator[Batch]:
    """Yield a batch in pieces, without the padding on the right that a piece does not need."""
    for start in range(0, len(part["input_ids"]), rows):
        piece = {name: tensor[start : start + rows] for name, tensor in part.items()}
        used = int(piece["attention_mask"].any(dim=0).nonzero().max()) + 1
        yield {name: tensor[:, :used] for name, tensor in piece.items()}
