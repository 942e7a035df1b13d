"""A step's rows as its micro-batches: packed, grouped by length, or padded as they come.

A step's loss is a sum over its targets: how its rows are laid out in micro-batches is a matter of
speed and memory alone.  `packed` puts them end to end, without padding; `grouped` pads rows of
like length together; `plain` pads them as they come.

B rows in a padded micro-batch, T positions; a packed one is a single row of T positions, R records
in it.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlora.data.token_rows import Row

IGNORE = -100  # cross_entropy's own default, so labels work in any Hugging Face model too
LENGTHS = "record_lengths"  # of a packed micro-batch: int64 [R], adding up to T

Batch = dict[str, Tensor]
Layout = Literal["packed", "grouped", "plain"]


class Collate:
    """Turn the rows of a step into its micro-batches, a pure function of the rows.

    Args:
        layout: how rows share a micro-batch.
        batch_size: rows in a padded micro-batch.
        max_length: tokens of the longest row; a packed micro-batch has at most batch_size times
            as many, so that no layout needs more memory than another.
        pad_id: the id to pad with.

    Attributes:
        layout: may be changed until the first batch is made.
        positions: of the largest micro-batch.
    """

    def __init__(self, layout: Layout, *, batch_size: int, max_length: int, pad_id: int) -> None:
        self.layout, self.positions = layout, batch_size * max_length
        self._batch_size, self._pad_id = batch_size, pad_id

    def __call__(self, rows: Sequence[Row]) -> list[Batch]:
        """Return dicts of int64 [B, T], see `padded` and `packed`."""
        lengths = [len(row.ids) for row in rows]
        if self.layout == "packed":
            return [
                packed([rows[index] for index in pack])
                for pack in fill_packs(lengths, self.positions)
            ]
        order = list(range(len(rows)))
        if self.layout == "grouped":
            order.sort(key=lambda index: -lengths[index])
        starts = range(0, len(rows), self._batch_size)
        parts = ([rows[i] for i in order[start : start + self._batch_size]] for start in starts)
        return [padded(part, pad_id=self._pad_id) for part in parts]


def fill_packs(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return which rows share a pack: as few packs as first-fit-decreasing finds, evenly full.

    Even packs need the least memory, for the fullest one decides.  A row is never split; one
    that is longer than a pack has a pack of its own.  Source: Johnson, "Near-optimal bin packing
    algorithms", 1973; evening out by Graham's longest-first rule, 1969.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    first_fit: list[list[int]] = []
    loads: list[int] = []
    for index in order:
        fits = (pack for pack, load in enumerate(loads) if load + lengths[index] <= capacity)
        _put(index, next(fits, len(loads)), packs=first_fit, loads=loads, lengths=lengths)
    even: list[list[int]] = []
    even_loads: list[int] = []
    for index in order:
        lightest = min(range(len(even)), key=even_loads.__getitem__, default=0)
        target = lightest if len(even) == len(first_fit) else len(even)
        _put(index, target, packs=even, loads=even_loads, lengths=lengths)
    return even if max(even_loads, default=0) <= max(loads, default=0) else first_fit


def _put(
    index: int, pack: int, *, packs: list[list[int]], loads: list[int], lengths: Sequence[int]
) -> None:
    if pack == len(packs):
        packs.append([])
        loads.append(0)
    packs[pack].append(index)
    loads[pack] += lengths[index]


def padded(rows: Sequence[Row], *, pad_id: int) -> Batch:
    """Return {input_ids, attention_mask, labels}, each int64 [B, T], padded on the right.

    Labels are IGNORE on prompt and padding.
    """
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    labels = np.full(shape, IGNORE, dtype=np.int64)
    for index, row in enumerate(rows):
        length = len(row.ids)
        ids[index, :length] = row.ids
        mask[index, :length] = 1
        labels[index, :length] = _labels(row)
    return _tensors(input_ids=ids, attention_mask=mask, labels=labels)


def packed(rows: Sequence[Row]) -> Batch:
    """Return {input_ids, position_ids, labels}, each int64 [1, T], and LENGTHS, int64 [R].

    Positions begin anew with each record, whose first token is nobody's target.
    """
    lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
    labels = np.concatenate([_labels(row) for row in rows])
    labels[np.cumsum(lengths) - lengths] = IGNORE
    return _tensors(
        input_ids=np.concatenate([row.ids for row in rows]).astype(np.int64)[None],
        position_ids=np.concatenate([np.arange(length) for length in lengths])[None],
        labels=labels[None],
        **{LENGTHS: lengths},
    )


def _labels(row: Row) -> NDArray[np.int64]:
    return np.where(row.learn, row.ids, IGNORE).astype(np.int64)


def _tensors(**arrays: NDArray[np.int64]) -> Batch:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def count_tokens(batch: Batch) -> int:
    """Return the tokens of a micro-batch, padding not counted."""
    if LENGTHS in batch:
        return batch["input_ids"].numel()
    return int(batch["attention_mask"].sum())


def move(batch: Batch, device: torch.device) -> Batch:
    """Return a micro-batch on a device; LENGTHS stay on the CPU, where they are read."""
    return {
        name: tensor if name == LENGTHS else tensor.to(device, non_blocking=True)
        for name, tensor in batch.items()
    }


def cut(batch: Batch, rows: int) -> Iterator[Batch]:
    """Yield a micro-batch in pieces of at most so many rows, without needless padding."""
    if LENGTHS in batch:
        yield from _cut_packed(batch, rows)
        return
    for start in range(0, len(batch["input_ids"]), rows):
        piece = {name: tensor[start : start + rows] for name, tensor in batch.items()}
        used = int(piece["attention_mask"].any(dim=0).nonzero().max()) + 1
        yield {name: tensor[:, :used] for name, tensor in piece.items()}


def _cut_packed(batch: Batch, rows: int) -> Iterator[Batch]:
    groups = torch.split(batch[LENGTHS], rows)
    sizes = [int(group.sum()) for group in groups]
    others = {
        name: torch.split(tensor, sizes, dim=1) for name, tensor in batch.items() if name != LENGTHS
    }
    for index, group in enumerate(groups):
        yield {LENGTHS: group, **{name: parts[index] for name, parts in others.items()}}


def count_rows(batch: Batch) -> int:
    """Return the rows of a micro-batch, packed or padded."""
    return len(batch[LENGTHS] if LENGTHS in batch else batch["input_ids"])
