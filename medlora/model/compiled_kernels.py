"""Kernels that are made while a run starts: torch.compile's for each layer, and Liger's.

Both fuse what lies between the products: norms, rotary positions, activations, residuals.  Lean and
frozen layers and attention by record stay as they are, so dropout hides the same numbers.
Source: Hsu et al., "Liger Kernel: Efficient Triton Kernels for LLM Training", 2024.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from medlora.model.linear import LeanLinear
from medlora.model.onednn_linear import FrozenLinear
from medlora.model.packed_attention import NAME, attend


def compile_layers(model: nn.Module, *, backend: str = "inductor") -> int:
    """Have torch compile a model's decoder layers when they are first called; return how many.

    Compiled for any shape at once, as every step has other lengths.

    Args:
        model: with its lean layers, if it shall have any.
        backend: torch's name of what makes the code.
    """
    # Otherwise torch draws dropout's mask from a stream of its compiler's own.
    torch._inductor.config.fallback_random = True  # noqa: SLF001
    as_it_is: Callable[[Any], Any] = torch.compiler.disable
    AttentionInterface.register(NAME, as_it_is(attend))
    layers = [
        module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    for module in model.modules():
        if isinstance(module, LeanLinear | FrozenLinear):
            module.__dict__["forward"] = as_it_is(module.forward)
    for layer in layers:
        layer.compile(dynamic=True, backend=backend)
    return len(layers)


def liger_kernels(model: PreTrainedModel) -> None:
    """Replace norms, rotary positions and gated activations by Liger's kernels, in place.

    Its losses stay out: logits at targets alone do the same, on every device.
    """
    from liger_kernel.transformers import _apply_liger_kernel_to_instance

    _apply_liger_kernel_to_instance(
        model=model, cross_entropy=False, fused_linear_cross_entropy=False
    )
