"""A base model without its numbers: torch's meta device knows shapes and types, and holds nothing.

An 8B model takes a second and no memory, from its config.json alone.

H heads, D numbers a head, T positions.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, PreTrainedModel

from medlora.config import ModelConfig
from medlora.errors import MissingPartError
from medlora.model.kinds import attention_of, model_class, no_such_class, read_config
from medlora.runtime.library_call_limits import TooSlowError, no_input, time_limit
from medlora.runtime.library_errors import ran_out_of_memory

_NAME = "medlora-shapes"
_BUILD_S = 60.0  # the largest that are published take five


def skeleton(folder: Path, cfg: ModelConfig, *, half: torch.dtype | None) -> PreTrainedModel:
    """Return the base model on the meta device, frozen.

    Args:
        folder: what `find_base` returned; config.json alone is read.
        cfg: the model section.
        half: the type that `dtype: auto` means: a GPU's half precision, or None for float32.

    Raises:
        MissingPartError: transformers cannot build the model.
    """
    dtype = getattr(torch, cfg.dtype) if cfg.dtype != "auto" else half or torch.float32
    try:
        config = read_config(folder)
        with no_input(), time_limit(_BUILD_S), torch.device("meta"):
            model: PreTrainedModel = model_class(config).from_config(
                config,
                dtype=dtype,
                attn_implementation=attention_of(cfg, config),
                trust_remote_code=False,
            )
    except MissingPartError:
        raise
    except TooSlowError as error:
        raise MissingPartError(
            f"{folder}: cannot build the model of config.json: it {error}",
            fix="copy the whole folder again",
        ) from None
    except Exception as error:  # whatever a family's own code raises
        if ran_out_of_memory(error):
            raise
        raise no_such_class(folder, error) or MissingPartError(
            f"{folder}: the model cannot be built ({type(error).__name__})",
            fix="use a base model whose architecture transformers knows",
        ) from error
    return model.requires_grad_(requires_grad=False)


def attend_by_shape(model: PreTrainedModel, *, joins: bool) -> bool:
    """Let a skeleton that attends by `sdpa` keep what flash attention keeps, and no [T, T].

    Returns whether it does; with `eager` it has the [T, T] that is its own.

    Args:
        model: a skeleton.
        joins: whether the records' outputs are put together afterwards, as on a CPU.
    """
    if model.config._attn_implementation == "sdpa":  # noqa: SLF001  (its only name)
        AttentionInterface.register(_NAME, _attend_joining if joins else _attend)
        model.set_attn_implementation(_NAME)
        return True
    return False


def _attend(_: nn.Module, query: Tensor, key: Tensor, value: Tensor, *__: Any, **___: Any) -> Any:  # noqa: ANN401
    output: Tensor = _Flash.apply(query, key, value)  # type: ignore[no-untyped-call]
    return output, None


def _attend_joining(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    output, weights = _attend(*args, **kwargs)
    return output.clone(), weights


class _Flash(torch.autograd.Function):
    """What flash attention keeps: its inputs, its output, a number for each head and position."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # noqa: ANN401
        output = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
        sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, sums)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        del grad
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
