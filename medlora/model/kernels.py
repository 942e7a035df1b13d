"""Kernels that are made while a run starts: torch.compile's for each layer, and Liger's.

Both fuse what lies between the products: norms, rotary positions, activations, residuals.  Lean and
frozen layers and attention by record stay as they are, so dropout hides the same numbers.
Source: Hsu et al., "Liger Kernel: Efficient Triton Kernels for LLM Training", 2024.
"""

import shutil
import sysconfig
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from medlora.errors import MissingPartError
from medlora.model.attention import NAME, attend
from medlora.model.frozen import FrozenLinear
from medlora.model.linear import LeanLinear

_COMPILERS = {"cpu": ("g++", "clang++"), "cuda": ("gcc", "cc", "clang")}  # inductor's, Triton's


def check_kernels(*, torch_compile: bool, use_liger_kernel: bool, device: str) -> None:
    """Refuse what cannot be made here, before anything is loaded.

    Args:
        torch_compile: the config's key.
        use_liger_kernel: the config's key.
        device: `cpu` or `cuda`.

    Raises:
        MissingPartError: a package, a compiler or a GPU is missing.
    """
    if use_liger_kernel and find_spec("liger_kernel") is None:
        raise MissingPartError(
            "training.use_liger_kernel is true and liger-kernel is not installed",
            fix="install medlora with its extra `liger` (uv sync --extra liger), or leave it unset",
        )
    if use_liger_kernel and device != "cuda":
        raise MissingPartError(
            "training.use_liger_kernel is true and there is no GPU; its kernels need one",
            fix="take a machine with a GPU, or leave training.use_liger_kernel unset",
        )
    key = "torch_compile" if torch_compile else "use_liger_kernel"
    if (torch_compile or use_liger_kernel) and not _can_compile(device):
        raise MissingPartError(
            f"training.{key} is true and its kernels cannot be made: no C compiler with Python's "
            "headers is here",
            fix=f"use a system with {_COMPILERS[device][0]} and Python.h (the image has none, on "
            f"purpose), or leave training.{key} unset",
        )


def _can_compile(device: str) -> bool:
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return headers.is_file() and any(map(shutil.which, _COMPILERS[device]))


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
    layers = [one for one in model.modules() if isinstance(one, GradientCheckpointingLayer)]
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
