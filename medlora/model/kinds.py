"""What a base's config says of it: its class, its attention, its positions; nothing is loaded."""

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
)

from medlora.config import ModelConfig
from medlora.errors import MissingPartError
from medlora.model.file_names import CONFIG
from medlora.model.folder import read_object
from medlora.runtime.library_call_limits import no_input, time_limit
from medlora.runtime.library_errors import ran_out_of_memory

# What the families call the cap on attention's scores, which `sdpa` leaves out.
_SOFT_CAPS = ("attn_logit_softcapping", "attention_logits_soft_cap", "logits_soft_cap")
_READ_S = 20.0
_SLIDING, _CHUNKED = "sliding_attention", "chunked_attention"
CAUSAL_LM_HINT = "whose config.json names an architecture that ends with ForCausalLM"


def read_config(folder: Path) -> PretrainedConfig:
    """Return a base's config.

    Raises:
        MissingPartError: transformers does not know the family, or cannot read it.
    """
    try:
        with no_input(), time_limit(_READ_S):
            return AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # a config can make any of transformers' classes raise anything
        if ran_out_of_memory(error):
            raise
        if "auto_map" in read_object(folder / CONFIG):
            raise _needs_own_code(folder) from None
        raise MissingPartError(
            f"{folder}: transformers cannot use its config.json ({type(error).__name__})",
            fix="use a base whose family this version of transformers knows",
        ) from error


def no_such_class(folder: Path, error: Exception) -> MissingPartError | None:
    """Return the error for a family that transformers cannot write text with, None for others."""
    if "contains custom code" in str(error):
        return _needs_own_code(folder)
    if "Unrecognized configuration class" not in str(error):
        return None
    kind = read_object(folder / CONFIG).get("model_type")
    return MissingPartError(
        f"{folder}: transformers has no causal language model of the type {kind}",
        fix=f"use a base {CAUSAL_LM_HINT}",
    )


def _needs_own_code(folder: Path) -> MissingPartError:
    return MissingPartError(
        f"{folder}: the model needs code of its own (auto_map), which is never run",
        fix=f"use a base {CAUSAL_LM_HINT}",
    )


def model_class(config: PretrainedConfig) -> Any:  # noqa: ANN401  (transformers' auto classes)
    """Return the auto class that loads a base for text, and loads it again once it was merged.

    Bases that see are saved as `...ForConditionalGeneration`, and some have no other class.
    """
    writes, sees = AutoModelForCausalLM._model_mapping, AutoModelForImageTextToText._model_mapping  # noqa: SLF001
    saved_as = (config.architectures or [""])[0]
    if type(config) in sees and (
        saved_as.endswith("ForConditionalGeneration") or type(config) not in writes
    ):
        return AutoModelForImageTextToText
    return AutoModelForCausalLM


def has_soft_cap(config: PretrainedConfig) -> bool:
    """Tell whether attention's scores are capped."""
    text = config.get_text_config()
    return any(getattr(text, name, None) for name in _SOFT_CAPS)


def attention_of(cfg: ModelConfig, config: PretrainedConfig) -> str | None:
    """Return the attention that transformers is asked for.

    None is `sdpa`, or `eager` where the family has none.  `eager` where a soft cap is stated.
    """
    if has_soft_cap(config):
        return "eager"
    return None if cfg.attn_implementation == "sdpa" else cfg.attn_implementation


def sliding_layers(config: PretrainedConfig) -> int:
    """Return how many layers see a window of the last tokens alone."""
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    if kinds:
        return sum(kind == _SLIDING for kind in kinds)
    if getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True):
        return int(getattr(text, "num_hidden_layers", 1))
    return 0


def is_chunked(config: PretrainedConfig) -> bool:
    """Tell whether some layers see no further than the beginning of a chunk (Llama 4)."""
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None) or ()
    return _CHUNKED in kinds or bool(getattr(text, "attention_chunk_size", None))


def position_limit(model_config: Any) -> int | None:  # noqa: ANN401  (transformers' own type)
    """Return how many positions the base was built for, or None where it does not say."""
    text = getattr(model_config, "get_text_config", lambda: model_config)()
    limit = getattr(text, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None
