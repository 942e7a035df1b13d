"""`model`: which base model, and how it is loaded."""

from typing import Literal

from medlora.config.declaration import Section, key

_FROM_PRETRAINED = "Hugging Face, from_pretrained"
_BITS_AND_BYTES = "Hugging Face, BitsAndBytesConfig"


class ModelConfig(Section):
    """Which base model, and how it is loaded."""

    base_model_name: str | None = key(
        None,
        also=("base_model", "model_name", "model_name_or_path"),
        decides="input",
        path_to="folder",
        description="folder of the base model, or its name below /models",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = key(
        "auto",
        source=_FROM_PRETRAINED,
        also=("torch_dtype",),
        description="type of the frozen weights; auto: half on a GPU, float32 on a CPU",
    )
    attn_implementation: Literal["sdpa", "eager"] = key(
        "sdpa",
        source=_FROM_PRETRAINED,
        description="attention code of the base; eager where it has no sdpa",
    )
    load_in_4bit: bool = key(
        False,
        source=_BITS_AND_BYTES,
        also=("load_in_4bits", "quantization"),
        description="QLoRA: the frozen linear layers in 4 bits; needs the extra qlora",
    )
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = key(
        "nf4",
        source=_BITS_AND_BYTES,
        description="the 16 values of 4 bits: for normally distributed weights, or floats",
    )
    bnb_4bit_use_double_quant: bool = key(
        True, source=_BITS_AND_BYTES, description="quantize the scales too: 0.4 bits a weight less"
    )
