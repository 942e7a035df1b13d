"""Steps whose rows are drawn one by one, each with the same chance: Poisson sampling.

What differential privacy counts on: a step may have any number of rows, none among them, and
nobody can tell which.  So the draws come from the system's entropy, never from a seed that a
manifest states, and there is no order to go back to.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import DataLoader, Sampler

from medlora.data.batches import step_loader
from medlora.data.micro_batches import Batch, Collate
from medlora.data.token_rows import Row


class PoissonSteps(Sampler[list[int]]):
    """The row indices of each step of an epoch; as many steps as fixed ones would be.

    Args:
        rows: how many there are.
        step_rows: how many a step has on average.
        entropy: where the draws come from.

    Attributes:
        rows: how many there are.
        rate: the chance of each row to be in a step.
    """

    def __init__(self, rows: int, step_rows: int, *, entropy: np.random.Generator) -> None:
        self.rows, self._entropy = rows, entropy
        self._steps = -(-rows // step_rows)
        self.rate = min(1.0, step_rows / rows)

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self._steps):
            drawn = self._entropy.random(self.rows) < self.rate
            yield np.flatnonzero(drawn).tolist()


def private_loader(
    rows: Sequence[Row],
    collate: Collate,
    *,
    step_rows: int,
    entropy: np.random.Generator,
    pin_memory: bool = False,
) -> DataLoader[list[Batch]]:
    """Return the randomly drawn steps of a split; a step without rows is an empty list.

    Args:
        rows: the split.
        collate: makes a step's micro-batches; not the packed ones.
        step_rows: rows of a step, on average.
        entropy: where the draws come from.
        pin_memory: page-locked tensors, which a GPU fetches while it computes.
    """
    steps = PoissonSteps(len(rows), step_rows, entropy=entropy)
    return step_loader(rows, collate, steps, pin_memory=pin_memory)
