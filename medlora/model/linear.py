"""LoRA's linear layer with fewer passes over memory; the numbers are PEFT's.

    out = x W' + s (m * x / (1 - p)) A' B'      m: dropout's mask, s: PEFT's scaling

PEFT computes that in nine operations, each of which writes a tensor as large as x or out and
keeps half of them for the gradient.  Here scale and dropout's factor meet where the tensors are
r wide, products add into what is there, and of dropout only its mask is kept, a byte a number.

Shapes: N positions, I inputs, O outputs, rank r.
"""

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medlora.model.autocast_dtype import autocast_dtype
from medlora.model.onednn_linear import FrozenLinear, product

_ADAPTER = "default"


def lean_linears(model: nn.Module) -> int:
    """Let the adapted linear layers compute in fewer passes, in place; return how many do.

    Quantized layers are of other types and stay as they are.
    """
    layers = [module for module in model.modules() if type(module) is Linear]
    for module in layers:
        module.__class__ = LeanLinear
    return len(layers)


class LeanLinear(Linear):  # type: ignore[misc]  # (an untyped library)
    """PEFT's layer; what only PEFT can compute (merged, DoRA, other types) stays with it."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        """Return the layer's output, float [..., O].

        Args:
            x: float [..., I].
            args: what PEFT's own takes beside; nothing of a language model's.
            kwargs: likewise.
        """
        dtype = _compute_dtype(self, x) if not (args or kwargs) and _is_plain(self) else None
        if dtype is None:
            output: Tensor = super().forward(x, *args, **kwargs)
            return output
        base, dropout = self.base_layer, self.lora_dropout[_ADAPTER]
        rate = dropout.p if self.training and isinstance(dropout, nn.Dropout) else 0.0
        factors = (self.lora_A[_ADAPTER].weight, self.lora_B[_ADAPTER].weight)
        by_onednn = type(base) is FrozenLinear and x.dtype == dtype == torch.float32
        settings = (float(self.scaling[_ADAPTER]), rate, dtype, by_onednn)
        result: Tensor = _Adapted.apply(  # type: ignore[no-untyped-call]
            x, base.weight, base.bias, *factors, *settings
        )
        return result


def _is_plain(module: Linear) -> bool:
    base = module.base_layer
    return (
        type(base) in (nn.Linear, FrozenLinear)
        and not (base.weight.requires_grad or module.disable_adapters or module.merged)
        and list(module.active_adapters) == [_ADAPTER]
        and _ADAPTER in module.lora_A
        and _ADAPTER not in module.lora_variant
        and module.lora_B[_ADAPTER].bias is None
    )


def _compute_dtype(module: Linear, x: Tensor) -> torch.dtype | None:
    """Return the type that everything is computed in, None where PEFT would mix several."""
    autocast = autocast_dtype(x.device.type)
    if autocast:
        return autocast
    types = {x.dtype, module.base_layer.weight.dtype, module.lora_A[_ADAPTER].weight.dtype}
    return x.dtype if len(types) == 1 else None


class _Adapted(torch.autograd.Function):
    """The formula above; the frozen weight has no gradient."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917  (autograd passes by position)
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
        rate: float,
        dtype: torch.dtype,
        by_onednn: bool,
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        weight, a_half, b_half = weight.to(dtype), a.to(dtype), b.to(dtype)
        kept = _keep_mask(rows, rate) if rate else None
        factor = scaling / (1 - rate)
        times = product if by_onednn else nn.functional.linear
        narrow = times(_dropped(rows, kept), a_half)
        narrow *= factor
        wide = times(rows, weight, None if bias is None else bias.to(dtype))
        wide.addmm_(narrow, b_half.t())
        ctx.save_for_backward(rows, kept, narrow, weight, a_half, b_half)
        ctx.factor, ctx.dtypes, ctx.shape = factor, (x.dtype, a.dtype, b.dtype), x.shape
        ctx.times = times
        # No view in autograd's eyes: some families change it in place (Gemma 3n).
        result: Tensor = torch.ops.aten._unsafe_view(wide, [*x.shape[:-1], wide.shape[-1]])  # noqa: SLF001
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        rows, kept, narrow, weight, a, b = ctx.saved_tensors
        x_dtype, a_dtype, b_dtype = ctx.dtypes
        out = grad.reshape(-1, grad.shape[-1])
        grad_b = out.t() @ narrow
        inner = ctx.times(out, b.t())
        inner *= ctx.factor
        grad_a = inner.t() @ _dropped(rows, kept)
        grad_x = None
        if ctx.needs_input_grad[0]:
            narrow_grad = ctx.times(inner, a.t())
            if kept is not None:
                narrow_grad *= kept.to(narrow_grad.dtype)
            grad_x = (ctx.times(out, weight.t()).add_(narrow_grad)).view(ctx.shape).to(x_dtype)
        return grad_x, None, None, grad_a.to(a_dtype), grad_b.to(b_dtype), *(None,) * 4


def _dropped(rows: Tensor, kept: Tensor | None) -> Tensor:
    # From a byte that is no bool: torch converts bytes eight times as fast on a CPU.
    return rows if kept is None else rows * kept.to(rows.dtype)


def _keep_mask(rows: Tensor, rate: float) -> Tensor:
    """Return dropout's mask, int8 [N, I] of 0 and 1, from torch's generator of the device.

    On a GPU the mask that torch's own dropout draws.  On a CPU that would be a tenth of a step's
    time: bernoulli_ takes 6 ns a number; here one draw of 64 bits serves four, so that the rate
    is rounded to 1/65,536.
    """
    if rows.device.type != "cpu":
        return torch.native_dropout(rows, rate, train=True)[1].view(torch.int8)
    drawn = torch.empty(-(-rows.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    numbers = drawn.view(torch.int16)[: rows.numel()].view(rows.shape).numpy()
    # NumPy compares ten times as fast as torch does on a CPU.
    return torch.from_numpy(numbers >= round(rate * 2**16) - 2**15).view(torch.int8)
