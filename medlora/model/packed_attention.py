"""Attention within records: several stand in one row of tokens, and none sees another.

Registered with transformers under a name of its own.  A batch that says where its records begin
is attended record by record; any other batch as `sdpa` does it.

H heads, D numbers a head, T positions of all records together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from medlora.model.autocast_dtype import HALVES

NAME = "medlora"
_LARGEST_HEAD = 256  # of flash attention
_windows: ContextVar[list[int] | None] = ContextVar("windows", default=None)
_without_mask: ContextVar[bool] = ContextVar("without_mask", default=False)


@dataclass(frozen=True, slots=True)
class Records:
    """The lengths of a row's records, as a thing that torch's compiler passes on unread.

    A bare tuple is compiled into the code, and the next row's would be compiled anew.
    """

    lengths: tuple[int, ...]


def attend_by_record(model: PreTrainedModel) -> None:
    """Let a model that attends by `sdpa` understand `records`; others stay as they are."""
    if model.config._attn_implementation == "sdpa":  # noqa: SLF001  (its only name)
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, _mask)
        model.set_attn_implementation(NAME)


@contextmanager
def records(lengths: Tensor, device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield what the forward pass of a packed row needs to know, beside ids and positions.

    Args:
        lengths: int [records], on the CPU; they add up to T.
        device: where the row is.
    """
    ends = torch.cat([torch.zeros(1, dtype=torch.int32), lengths.cumsum(0).to(torch.int32)])
    on_device, longest = ends.to(device), int(lengths.max())
    token = _without_mask.set(True)
    try:
        yield {
            "cu_seq_lens_q": on_device,
            "cu_seq_lens_k": on_device,
            "max_length_q": longest,
            "max_length_k": longest,
            "records": Records(tuple(lengths.tolist())),
        }
    finally:
        _without_mask.reset(token)


@contextmanager
def windows_seen() -> Iterator[list[int]]:
    """Yield a list that gets the sliding window of each call of attention that has one."""
    seen: list[int] = []
    token = _windows.set(seen)
    try:
        yield seen
    finally:
        _windows.reset(token)


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:  # noqa: ANN401
    """Return what `sdpa` masks with; nothing where records part the row."""
    return None if _without_mask.get() else sdpa_mask(*args, **kwargs)


def attend(  # noqa: PLR0913, PLR0917  (transformers' signature)
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Return the attention's output, float [B, T, H, D], and no weights."""
    parts: Records | None = kwargs.pop("records", None)
    if parts is None:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output
    window = kwargs.get("sliding_window")
    seen = _windows.get()
    if seen is not None and window is not None:
        seen.append(window)
    if _has_kernel(query, dropout):
        left = -1 if window is None else window - 1
        together: Any = varlen_attn(
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            kwargs["cu_seq_lens_q"],
            kwargs["cu_seq_lens_k"],
            kwargs["max_length_q"],
            kwargs["max_length_k"],
            scale=scaling,
            window_size=(left, 0),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return together[None], None
    lengths = list(parts.lengths)
    split = (torch.split(tensor, lengths, dim=2) for tensor in (query, key, value))
    outputs = [
        _attend_record(*part, dropout=dropout, scaling=scaling, window=window)
        for part in zip(*split, strict=True)
    ]
    return torch.cat(outputs, dim=1), None


def _has_kernel(query: Tensor, dropout: float) -> bool:
    """Tell whether flash attention takes all records in one call: on a GPU, in half precision."""
    return (
        query.is_cuda
        and query.dtype in HALVES.values()
        and query.shape[-1] <= _LARGEST_HEAD
        and dropout == 0
    )


def _attend_record(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    dropout: float,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """Return one record's output, float [1, T, H, D]."""
    length, mask = query.shape[2], None
    if window is not None and length > window:
        causal = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
        mask = causal.triu(1 - window)
    output = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=mask is None,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output.transpose(1, 2)
