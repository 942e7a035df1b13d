"""Log-likelihoods of rows, batched: summed over the tokens that a row marks.

Rows that differ in their last token alone, as short answers to one question do, share a pass.

B rows of a batch, T positions, N of which are looked at; C rows share a pass at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medlora.data.token_rows import Row
from medlora.evaluate.shrinking_batches import in_batches
from medlora.train.forward import Forward, evaluation_mode

Poll = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Shared:
    """Rows with the same inputs and marks; `places` is where they stand among all rows."""

    rows: list[Row]
    places: list[int]

    @property
    def inputs(self) -> NDArray[np.int32]:
        """The tokens that the model reads: all but the last, int32 [T]."""
        return self.rows[0].ids[:-1]

    @property
    def looked_at(self) -> NDArray[np.bool_]:
        """Which positions predict a marked token, bool [T]."""
        return self.rows[0].learn[1:]


def log_likelihoods(
    model: nn.Module,
    rows: Sequence[Row],
    *,
    batch_size: int,
    poll: Poll = lambda: None,
    forward: Forward | None = None,
) -> list[float]:
    """Return each row's log-likelihood in nats, the sum over its marked tokens.

    Args:
        model: a causal language model; its mode is left as it was.
        rows: of any length; the first token of each is never predicted.
        batch_size: passes at a time; changes nothing but speed and rounding.
        poll: called before each batch; what it raises ends the work.
        forward: how the model is called, if that is known already.

    Raises:
        OutOfMemoryError: a single row does not fit.
    """
    forward = forward or Forward(model)
    passes = sorted(_share(rows), key=lambda group: -len(group.inputs))
    device = next(model.parameters()).device

    def compute(batch: Sequence[_Shared]) -> list[list[float]]:
        poll()
        return _compute(forward, batch, device)

    with torch.no_grad(), evaluation_mode(model):
        likelihoods = in_batches(passes, compute, size=batch_size)
    sums = [0.0] * len(rows)
    for group, values in zip(passes, likelihoods, strict=True):
        for place, value in zip(group.places, values, strict=True):
            sums[place] = value
    return sums


def _share(rows: Sequence[Row]) -> list[_Shared]:
    shared: dict[tuple[bytes, bytes], _Shared] = {}
    for place, row in enumerate(rows):
        key = (row.ids[:-1].tobytes(), row.learn[1:].tobytes())
        group = shared.setdefault(key, _Shared([], []))
        group.rows.append(row)
        group.places.append(place)
    return list(shared.values())


def _compute(forward: Forward, batch: Sequence[_Shared], device: torch.device) -> list[list[float]]:
    """Return the log-likelihoods of the rows of each pass."""
    shape = (len(batch), max(len(group.inputs) for group in batch))
    ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    looked_at = np.zeros(shape, dtype=bool)
    for index, group in enumerate(batch):
        length = len(group.inputs)
        ids[index, :length], mask[index, :length] = group.inputs, 1
        looked_at[index, :length] = group.looked_at
    shares = forward.log_shares(
        {
            "input_ids": torch.from_numpy(ids).to(device),
            "attention_mask": torch.from_numpy(mask).to(device),
        },
        torch.from_numpy(looked_at).to(device),
        torch.from_numpy(_candidates(batch)).to(device),
    )
    counts = [int(group.looked_at.sum()) for group in batch]
    sums = [part.double().sum(dim=0).tolist() for part in torch.split(shares.cpu(), counts)]
    return [values[: len(group.rows)] for group, values in zip(batch, sums, strict=True)]


def _candidates(batch: Sequence[_Shared]) -> NDArray[np.int64]:
    """Return each row's own next token at each position looked at, int64 [N, C]."""
    widest = max(len(group.rows) for group in batch)
    columns = []
    for group in batch:
        rows = [*group.rows, *[group.rows[0]] * (widest - len(group.rows))]
        columns.append(np.stack([row.ids[1:][row.learn[1:]] for row in rows], axis=1))
    return np.concatenate(columns).astype(np.int64)
