"""Cross-entropy of one optimizer step, weighted by token, computed where there are targets.

A step is several micro-batches with unequal numbers of targets.  A mean of their means would
let a 5-token answer weigh as much as a 500-token one, so each micro-batch adds its *sum*,
divided once by the targets of the whole step.

Shapes: B sequences, T positions, N targets, H hidden numbers, V vocabulary entries.
Source: mean over targets = sum over micro-batches of (their sum / all targets); described by
Hugging Face in "Fixing Gradient Accumulation", 2024-10-16.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, linear, pad

from medlora.data.micro_batches import IGNORE
from medlora.model.autocast_dtype import autocast_dtype
from medlora.model.onednn_linear import FrozenLinear, product

# Logits of so many numbers exist at once, or of so few targets: on a CPU they stay in its caches,
# and on every device the product with a vocabulary of 128k keeps an efficient shape.
_LOGITS, _TARGETS = 2**21, 64
_HALF_SCALE = 1024.0  # keeps small probabilities from becoming 0 in float16


def count_targets(labels: Tensor) -> int:
    """Return how many next-token targets carry loss.

    Args:
        labels: int64 [B, T]; `IGNORE` on prompt and padding.
    """
    return int((labels[:, 1:] != IGNORE).sum())


def summed_nats(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed loss of a micro-batch in nats, float32 [].

    Args:
        logits: float [B, T, V], any float type; summed in float32.
        labels: int64 [B, T], not shifted.
    """
    return cross_entropy(
        logits[:, :-1].flatten(0, 1).float(),
        labels[:, 1:].flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )


def summed_target_nats(hidden: Tensor, labels: Tensor, head: nn.Linear) -> Tensor:
    """Return the same from the last hidden states, without ever holding all logits.

    Logits exist for a few hundred targets at a time, and for prompts and padding never.

    Args:
        hidden: float [B, T, H], what the head is applied to.
        labels: int64 [B, T], not shifted.
        head: a frozen projection onto the vocabulary.
    """
    following = pad(labels[:, 1:], (0, 1), value=IGNORE).flatten()
    positions = (following != IGNORE).nonzero().squeeze(1)
    return nats_at(hidden.flatten(0, 1), positions, following[positions], head)


def nats_at(states: Tensor, positions: Tensor, targets: Tensor, head: nn.Linear) -> Tensor:
    """Return the summed loss of some positions in nats, float32 [].

    Args:
        states: float [B x T, H], what the head is applied to.
        positions: int64 [N], those that have a target.
        targets: int64 [N], the tokens there.
        head: a frozen projection onto the vocabulary.
    """
    autocast = autocast_dtype(states.device.type)
    dtype = autocast or head.weight.dtype
    by_onednn = type(head) is FrozenLinear and not autocast
    nats: Tensor = _TargetNats.apply(  # type: ignore[no-untyped-call]
        states, positions, targets, head.weight, head.bias, dtype, by_onednn
    )
    return nats


def log_shares(states: Tensor, candidates: Tensor, head: nn.Linear | None) -> Tensor:
    """Return the log probabilities of some tokens, float32 [N, C]; a few hundred rows at a time.

    Args:
        states: float [N, H], what the head is applied to; without a head, logits [N, V].
        candidates: int64 [N, C], the tokens.
        head: a projection onto the vocabulary.
    """
    pieces = [torch.empty(0, candidates.shape[1], device=states.device)]
    size = max(_TARGETS, _LOGITS // (head.weight if head else states).shape[0 if head else 1])
    for rows, wanted in zip(torch.split(states, size), torch.split(candidates, size), strict=True):
        logits = rows if head is None else head(rows)
        shares = torch.log_softmax(logits, -1, dtype=torch.float32)
        pieces.append(shares.gather(1, wanted))
    return torch.cat(pieces)


class _TargetNats(torch.autograd.Function):
    """The gradient is made beside the loss, chunk by chunk, so that no logits are kept for it.

    Source: the idea of fused linear cross-entropy; Hsu et al., "Liger Kernel", 2024.
    """

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917  (autograd passes by position)
        ctx: Any,  # noqa: ANN401
        states: Tensor,
        positions: Tensor,
        targets: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        dtype: torch.dtype,
        by_onednn: bool,
    ) -> Tensor:
        picked = states.index_select(0, positions).to(dtype)
        weight = weight.to(dtype)
        scale = _HALF_SCALE if dtype == torch.float16 else 1.0
        wanted = ctx.needs_input_grad[0]
        grad = torch.empty_like(picked, dtype=torch.float32 if scale > 1 else dtype)
        nats = torch.zeros((), dtype=torch.float32, device=states.device)
        times = product if by_onednn else linear
        size = max(_TARGETS, _LOGITS // weight.shape[0])
        for start in range(0, len(picked), size):
            chunk = slice(start, start + size)
            logits = times(picked[chunk], weight, None if bias is None else bias.to(dtype))
            log_shares = torch.log_softmax(logits, -1, dtype=torch.float32)
            at_target = targets[chunk, None]
            nats -= log_shares.gather(1, at_target).sum()
            if wanted:
                shares = log_shares.exp_()
                shares.scatter_add_(1, at_target, shares.new_full(at_target.shape, -1.0))
                scaled = (shares.mul_(scale) if scale > 1 else shares).to(dtype)
                grad[chunk] = times(scaled, weight.t())
        ctx.save_for_backward(positions, grad)
        ctx.scale, ctx.shape, ctx.dtype = scale, states.shape, states.dtype
        return nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        positions, grad = ctx.saved_tensors
        everywhere = grad.new_zeros(ctx.shape, dtype=ctx.dtype)
        everywhere.index_copy_(0, positions, (grad * (factor / ctx.scale)).to(ctx.dtype))
        return everywhere, *(None,) * 6
