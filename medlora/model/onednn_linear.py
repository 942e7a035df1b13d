"""Frozen linear layers whose products oneDNN computes on a CPU, instead of MKL.

torch leaves float32 products to MKL, which favours its own vendor's CPUs.  The operator is the
one that torch's own compiler calls for frozen weights.

For every number of positions oneDNN makes code of its own, which takes time, and keeps it: 200
steps of a tiny model took 0.9 GB.  So positions are filled up with zeros to one of few numbers; a
position's product does not depend on how many others there are.

N positions, I inputs, O outputs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS = 64  # a multiple of these is computed: of 1,000 positions 3 % more on average


def frozen_linears(model: nn.Module) -> int:
    """Let frozen float32 layers on a CPU compute by oneDNN, in place; return how many do."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return 0
    layers = [module for module in model.modules() if type(module) is nn.Linear and _suits(module)]
    for module in layers:
        module.__class__ = FrozenLinear
    return len(layers)


def _suits(module: nn.Linear) -> bool:
    weight = module.weight
    return (
        not weight.requires_grad and weight.dtype == torch.float32 and weight.device.type == "cpu"
    )


class FrozenLinear(nn.Linear):
    """torch's layer; whatever is not a float32 product on a CPU stays with it."""

    def forward(self, x: Tensor) -> Tensor:
        """Return float [..., O] for float [..., I]."""
        if not _is_ours(x):
            return super().forward(x)
        result: Tensor = _Product.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return result


def _is_ours(x: Tensor) -> bool:
    plain = x.device.type == "cpu" and x.dtype == torch.float32
    return plain and not torch.is_autocast_enabled("cpu")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W' + bias, float32 [..., O] on a CPU; without a gradient of its own.

    Args:
        x: float32 [..., I].
        weight: float32 [O, I], of any strides.
        bias: float32 [O].
    """
    rows = x.numel() // max(1, x.shape[-1])
    more = -rows % ROWS
    if more and rows > 1:  # a single one has another way, and other bits
        filled = x.new_zeros(rows + more, x.shape[-1])
        filled[:rows] = x.reshape(rows, -1)
        whole = _by_onednn(filled, weight, bias)
        return whole.resize_(*x.shape[:-1], whole.shape[-1])  # the first rows, and no view of more
    return _by_onednn(x, weight, bias)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # noqa: SLF001
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        return product(grad, weight.t()), None, None
