"""`lora`: the adapter."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from medlora.config.declaration import Section, as_list, key

_LORA_CONFIG = "PEFT, LoraConfig"


class LoraConfig(Section):
    """The adapter; keys and meanings are PEFT's."""

    r: int = key(
        32,
        ge=1,
        unit="dimensions",
        source=_LORA_CONFIG,
        also=("lora_r", "lora_rank", "rank"),
        description="rank of the update",
    )
    lora_alpha: int = key(
        64,
        ge=1,
        unit="factor",
        source=_LORA_CONFIG,
        also=("alpha",),
        description="scale of the update; applied as alpha / r",
    )
    lora_dropout: float = key(
        0.1,
        ge=0,
        lt=1,
        unit="share of the numbers",
        source=_LORA_CONFIG,
        also=("dropout",),
        description="dropout on the adapter's input",
    )
    target_modules: Annotated[
        list[str] | Literal["auto", "all-linear"], BeforeValidator(as_list)
    ] = key(
        "auto",
        min_length=1,
        source=_LORA_CONFIG,
        description="names of the linear layers that get an adapter, or all-linear; auto: the "
        "projections of attention, q_proj, k_proj, v_proj and o_proj where they have these names",
    )
    use_rslora: bool = key(
        False,
        source=_LORA_CONFIG,
        description="apply the scale as alpha / sqrt(r): high ranks learn as fast as low",
    )
    use_dora: bool = key(
        False,
        source=_LORA_CONFIG,
        description="learn each row's magnitude beside its direction; slower steps",
    )
    loraplus_lr_ratio: float | None = key(
        None,
        ge=1,
        allow_inf_nan=False,
        unit="multiple of learning_rate",
        description="LoRA+: B's learning rate as a multiple of learning_rate, e.g. 16; unset: off",
    )
