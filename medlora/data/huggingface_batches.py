"""Rows as Hugging Face data sets have them, dicts of ids and labels, as padded batches.

B rows in a batch, padded on the right to the longest: T positions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from medlora.data.micro_batches import IGNORE
from medlora.errors import DataError

_KEYS = ("input_ids", "attention_mask", "labels")


class PadFeatures:
    """Turn dicts into {input_ids, attention_mask, labels}, each int64 [B, T].

    The labels stay as they are.  `DataCollatorForLanguageModeling` would make them anew from
    the ids, and so train on the prompts.
    """

    def __init__(self, pad_id: int) -> None:
        self._fill = {"input_ids": pad_id, "attention_mask": 0, "labels": IGNORE}

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Pad rows on the right; without an attention mask every position of a row is seen.

        Raises:
            DataError: a row has no labels, or not one for each id.
        """
        rows = [_row(feature) for feature in features]
        return {
            name: pad_sequence(
                [row[name] for row in rows], batch_first=True, padding_value=self._fill[name]
            )
            for name in _KEYS
        }


def _row(feature: Mapping[str, Any]) -> dict[str, Tensor]:
    missing = [name for name in ("input_ids", "labels") if name not in feature]
    if missing:
        raise DataError(
            f"a row of the data set has no {' and no '.join(missing)}",
            fix="give each row input_ids and labels (-100 where there is no loss)",
        )
    row = {
        name: torch.as_tensor(feature[name], dtype=torch.int64) for name in _KEYS if name in feature
    }
    row.setdefault("attention_mask", torch.ones_like(row["input_ids"]))
    lengths = {name: len(row[name]) for name in _KEYS}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise DataError(f"a row of the data set has {counts}", fix="give each id one label")
    return row
