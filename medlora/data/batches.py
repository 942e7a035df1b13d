"""Rows in an order that is a pure function of (seed, epoch), a step at a time."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from medlora.data.micro_batches import Batch, Collate
from medlora.data.token_rows import Row, Rows


def epoch_order(rows: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of an epoch: a permutation, int64 [rows].

    Source: NumPy's RandomState, whose stream is frozen for ever (NEP 19).
    """
    return np.random.RandomState([seed, epoch]).permutation(rows)


class EpochSteps(Sampler[list[int]]):
    """The row indices of each step of one epoch; the last may be smaller."""

    def __init__(self, rows: int, step_rows: int, *, seed: int) -> None:
        self._rows, self._step_rows, self._seed = rows, step_rows, seed
        self._epoch, self._start = 0, 0

    def set_epoch(self, epoch: int, *, start: int = 0) -> None:
        """Choose the epoch, counted from 0, and the step in it that the next walk starts at."""
        self._epoch, self._start = epoch, start

    def __len__(self) -> int:
        return math.ceil(self._rows / self._step_rows)

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self._rows, seed=self._seed, epoch=self._epoch).tolist()
        for start in range(self._start * self._step_rows, self._rows, self._step_rows):
            yield order[start : start + self._step_rows]


def train_loader(
    rows: Sequence[Row],
    collate: Collate,
    *,
    step_rows: int,
    seed: int,
    pin_memory: bool = False,
) -> DataLoader[list[Batch]]:
    """Return the shuffled steps of a split, a pure function of (seed, epoch).

    Args:
        rows: the split.
        collate: makes a step's micro-batches.
        step_rows: rows of a step.
        seed: of the order.
        pin_memory: page-locked tensors, which a GPU fetches while it computes.
    """
    steps = EpochSteps(len(rows), step_rows, seed=seed)
    return step_loader(rows, collate, steps, pin_memory=pin_memory)


def step_loader(
    rows: Sequence[Row], collate: Collate, steps: Sampler[list[int]], *, pin_memory: bool
) -> DataLoader[list[Batch]]:
    """Return what loads a split's rows step by step."""
    return DataLoader(
        rows,  # type: ignore[arg-type]  # a sequence is a map-style data set
        batch_sampler=steps,
        collate_fn=collate,
        pin_memory=pin_memory,
    )


def eval_loader(
    rows: Sequence[Row], collate: Collate, *, batch_size: int, pin_memory: bool = False
) -> DataLoader[list[Batch]]:
    """Return a split's micro-batches in lists, longest rows first: little padding, same sum."""
    lengths = rows.lengths if isinstance(rows, Rows) else [len(row.ids) for row in rows]
    return DataLoader(
        rows,  # type: ignore[arg-type]
        sampler=sorted(range(len(rows)), key=lambda index: -lengths[index]),
        batch_size=batch_size,
        collate_fn=collate,
        pin_memory=pin_memory,
    )


def micro_batches(item: Any) -> list[Batch]:  # noqa: ANN401  (what a loader yields)
    """Return what a loader yielded as micro-batches: those of a step, or the one that it is."""
    return item if isinstance(item, list) else [item]


def pad_id_of(pad: int | None, eos: int | None) -> int:
    """Return the id to pad with: its value never matters, for padding is masked."""
    return next((token for token in (pad, eos) if token is not None), 0)
