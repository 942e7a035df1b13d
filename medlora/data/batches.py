"""Rows as batches, in an order that is a pure function of (seed, epoch).

B rows in a batch, padded on the right to the longest: T positions.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from medlora.data.rows import Row

IGNORE = -100  # cross_entropy's own default, so labels work in any Hugging Face model too


def epoch_order(rows: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of an epoch: a permutation, int64 [rows].

    Source: NumPy's RandomState, whose stream is frozen for ever (NEP 19).
    """
    return np.random.RandomState([seed, epoch]).permutation(rows)


class EpochBatches(Sampler[list[int]]):
    """The row indices of each micro-batch of one epoch; the last may be smaller."""

    def __init__(self, rows: int, batch_size: int, *, seed: int) -> None:
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self._epoch, self._start = 0, 0

    def set_epoch(self, epoch: int, *, start: int = 0) -> None:
        """Choose the epoch, counted from 0, and the micro-batch that the next walk starts at."""
        self._epoch, self._start = epoch, start

    def __len__(self) -> int:
        return math.ceil(self._rows / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self._rows, seed=self._seed, epoch=self._epoch).tolist()
        for start in range(self._start * self._batch_size, self._rows, self._batch_size):
            yield order[start : start + self._batch_size]


class Collate:
    """Turn rows into {input_ids, attention_mask, labels}, each int64 [B, T]."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Pad on the right; labels are IGNORE on prompt and padding."""
        shape = (len(rows), max(len(row.ids) for row in rows))
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        labels = np.full(shape, IGNORE, dtype=np.int64)
        for index, row in enumerate(rows):
            length = len(row.ids)
            ids[index, :length] = row.ids
            mask[index, :length] = 1
            labels[index, :length] = np.where(row.learn, row.ids, IGNORE)
        names = ("input_ids", "attention_mask", "labels")
        return {
            name: torch.from_numpy(values)
            for name, values in zip(names, (ids, mask, labels), strict=True)
        }


def train_loader(
    rows: Sequence[Row], *, batch_size: int, seed: int, pad_id: int, pin_memory: bool = False
) -> DataLoader[dict[str, Tensor]]:
    """Return the shuffled micro-batches of a split, a pure function of (seed, epoch)."""
    return DataLoader(
        rows,  # type: ignore[arg-type]  # a sequence is a map-style data set
        batch_sampler=EpochBatches(len(rows), batch_size, seed=seed),
        collate_fn=Collate(pad_id),
        pin_memory=pin_memory,
    )


def eval_loader(
    rows: Sequence[Row], *, batch_size: int, pad_id: int, pin_memory: bool = False
) -> DataLoader[dict[str, Tensor]]:
    """Return the micro-batches of a split, longest rows first: little padding, same sum."""
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    return DataLoader(
        ordered,  # type: ignore[arg-type]
        batch_size=batch_size,
        collate_fn=Collate(pad_id),
        pin_memory=pin_memory,
    )


def pad_id_of(pad: int | None, eos: int | None) -> int:
    """Return the id to pad with: its value never matters, for padding is masked."""
    return next((token for token in (pad, eos) if token is not None), 0)
