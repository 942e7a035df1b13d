"""Merge an adapter into its base's weights, and tell how far the result is from both together.

    W' = W + s B A       computed in float32, rounded once to the base's own type

T positions of an input, V vocabulary entries.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from medlora.model.file_names import CONFIG, GENERATION
from medlora.model.folder import read_object
from medlora.model.header import read_header

_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_TYPES = tuple(_NAMES.values())


class Difference(NamedTuple):
    """How far the logits of two models are apart, over all positions of some inputs."""

    inputs: int
    positions: int
    largest: float  # difference between two logits
    largest_logit: float  # its own size, of the first model
    same_choice: int  # positions at which both have the same largest logit


def base_dtype(folder: Path) -> str | None:
    """Return the type that the base's weights are saved in, None if it is none that we know."""
    config = read_object(folder / CONFIG)
    stated = config.get("dtype") or config.get("torch_dtype")
    if stated in _TYPES:
        return str(stated)
    types = {kind for file in folder.glob("*.safetensors") for kind in _types_in(file)}
    known = [_NAMES[kind] for kind in ("F32", "BF16", "F16") if kind in types]
    return known[0] if known else None


def is_quantized(folder: Path) -> bool:
    """Tell whether the base's files hold packed weights, into which nothing can be merged."""
    config = read_object(folder / CONFIG)
    return bool(config.get("quantization_config"))


def merged(model: PeftModel) -> PreTrainedModel:
    """Return the base with the adapter's update in its weights; the model given is used up.

    Where only the head has an adapter, embeddings that share its weights keep theirs.
    """
    _untie(model)
    # PEFT's safe way rounds the update to the base's type before it adds it, this one after.
    plain: PreTrainedModel = model.merge_and_unload(safe_merge=False)
    return plain


def _untie(model: PeftModel) -> None:
    base = model.get_base_model()
    head, config = base.get_output_embeddings(), base.config.get_text_config()
    if isinstance(head, LoraLayer) and config.tie_word_embeddings:
        layer = head.get_base_layer()
        layer.weight = nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
        config.tie_word_embeddings = False


def logits_of(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:  # noqa: ANN401
    """Return the logits of each input, [T, V] in the model's own type, on the CPU.

    Args:
        model: in evaluation mode.
        inputs: int64 [1, T] each.
    """
    with torch.no_grad():
        return [model(ids.to(model.device), use_cache=False).logits[0].cpu() for ids in inputs]


def difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> Difference:
    """Return how far two models' logits are apart; NaN or Inf in either is infinitely far."""
    positions = same = 0
    largest = size = 0.0
    for a, b in zip(first, second, strict=True):
        gap = (a.float() - b.float()).abs().max().item()
        largest = max(largest, gap if math.isfinite(gap) else math.inf)
        size = max(size, a.float().abs().max().item())
        same += int((a.argmax(-1) == b.argmax(-1)).sum())
        positions += len(a)
    return Difference(len(first), positions, largest, size, same)


def weight_bytes(model: PreTrainedModel) -> int:
    """Return how many bytes the weights take, those that are shared counted once."""
    seen: dict[int, int] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
    return sum(seen.values())


def saver(model: PreTrainedModel, base: Path) -> Callable[[Path], None]:
    """Return what writes weights and config into a folder, safetensors alone.

    The base's generation config goes along as it is: transformers loads some that it would not
    save, such as a temperature without sampling.
    """

    def save(folder: Path) -> None:
        model.generation_config = GenerationConfig()
        model.save_pretrained(folder)
        own = base / GENERATION
        if own.is_file():
            (folder / GENERATION).write_bytes(own.read_bytes())
        else:
            (folder / GENERATION).unlink(missing_ok=True)

    return save


def _types_in(file: Path) -> set[str]:
    """Return the types of a safetensors file's tensors."""
    with file.open("rb") as stream:
        return {entry["dtype"] for entry in read_header(stream).values()}
