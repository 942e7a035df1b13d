"""QLoRA: the frozen base in 4 bits through bitsandbytes, an optional part.

Of what `peft.prepare_model_for_kbit_training` does, freezing is done in `load_base`, and inputs
that require gradients are only for re-entrant checkpointing, which the loop does not use.  Its
cast of everything unquantized to float32 is left out on purpose: norms compute in float32
anyway, and embeddings and head would take twice the memory that 4 bits have just saved.  The
adapter itself is float32, as PEFT makes it.
Source: Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023.
"""

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from medlora.config import Machine, ModelConfig, RunConfig, refuse_conflicts

_CPU_PACKING = "support_avx512bf16_for_cpu"


def check_quantizer(cfg: ModelConfig) -> None:
    """Refuse 4 bits without bitsandbytes, before anything is loaded.

    Raises:
        MissingPartError: it is not installed.
    """
    refuse_conflicts(RunConfig(model=cfg), Machine())


def quantization(cfg: ModelConfig, *, compute: torch.dtype) -> BitsAndBytesConfig | None:
    """Return how transformers shall quantize the base while it loads, None for not at all.

    Args:
        cfg: the model section.
        compute: the type that weights are unpacked to for each product; the same as that of
            what stays unquantized, so that nothing is cast to and fro.

    Raises:
        MissingPartError: bitsandbytes is not installed.
    """
    if not cfg.load_in_4bit:
        return None
    check_quantizer(cfg)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=cfg.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=cfg.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=compute,
    )


def keep_trainable(model: nn.Module) -> None:
    """Keep 4-bit layers in the layout that gradients flow through.

    On a CPU with AVX512-BF16, bitsandbytes 0.50 repacks a layer's weight at the first evaluation,
    for good, and the repacked product has no backward: after the evaluation of the base, the
    layers below would learn nothing, without an error.  It also fails on rows of less than a
    block, and would make results depend on the CPU's model.
    """
    for module in model.modules():
        if hasattr(module, _CPU_PACKING):
            setattr(module, _CPU_PACKING, False)
