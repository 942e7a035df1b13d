"""A base model from a local folder: safetensors only, no code of its own, no network."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer
from transformers.utils import logging as transformers_logging

from medlora.config import ModelConfig
from medlora.errors import MedloraError, MissingPartError, reason_of
from medlora.files import sha256_file
from medlora.logs import logger
from medlora.model.file_names import CONFIG, GENERATION
from medlora.model.folder import (
    check_base_folder,
    check_tokenizer_folder,
    loaded_files,
    read_object,
    weight_files,
)
from medlora.model.kinds import (
    CAUSAL_LM_HINT,
    attention_of,
    has_soft_cap,
    model_class,
    no_such_class,
    read_config,
)
from medlora.model.quantize import keep_trainable, quantization
from medlora.model.skeleton import skeleton
from medlora.runtime.library_call_limits import no_input
from medlora.runtime.library_errors import in_our_words, ran_out_of_memory

_log = logger(__name__)
# Families that the conformance suite found to differ from plain transformers, for no known cause.
_NOT_RIGHT = frozenset(("hrm_text", "kimi_linear", "moshi"))
_MOST_WEIGHTS_A_BYTE = 16  # half a bit for each; the densest that is known has two
_OTHER_TASKS = ("MaskedLM", "ForPreTraining", "Classification", "QuestionAnswering")


def check_base(folder: Path) -> None:
    """Refuse a base that cannot be loaded safely, before anything heavy is imported.

    Raises:
        MissingPartError: weights are missing or pickled, a file lies outside of the folder, the
            base needs code of its own, or is for another task than writing text.
        StorageError: a file cannot be read.
    """
    config = check_base_folder(folder)
    if config.get("model_type") in _NOT_RIGHT:
        raise MissingPartError(
            f"{folder}: models of the type {config['model_type']} are not trained "
            "correctly here: loss or gradient differ from those of the model's own code",
            fix=f"use a base of another family {CAUSAL_LM_HINT}",
        )
    built = _built_as(config)
    if built.endswith(_OTHER_TASKS):
        raise MissingPartError(
            f"{folder}: a {built} does not generate text", fix=f"use a base {CAUSAL_LM_HINT}"
        )


def digest_base(folder: Path) -> dict[str, str]:
    """Return {file: SHA-256} of every file that loading the base reads, and of no other."""
    return {name: sha256_file(folder / name) for name in loaded_files(folder)}


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the base's tokenizer.

    Raises:
        MissingPartError: there is none.
    """
    _quiet()
    if (folder / "tekken.json").is_file() and not (folder / "tokenizer.json").is_file():
        raise MissingPartError(
            f"{folder}: the tokenizer is tekken.json alone, which needs mistral-common",
            fix="add the tokenizer.json and tokenizer_config.json that Mistral publishes with the "
            "Hugging Face weights",
        )
    check_tokenizer_folder(folder)
    try:
        with no_input(), in_our_words():
            tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except MedloraError:
        raise
    except Exception as error:  # whatever a tokenizer's file makes of its library
        if ran_out_of_memory(error):
            raise
        raise MissingPartError(
            f"{folder}: no tokenizer can be loaded ({type(error).__name__})",
            fix="the folder needs tokenizer.json and tokenizer_config.json",
        ) from error
    return tokenizer


def end_tokens(folder: Path) -> list[int]:
    """Return the ids of the tokens that end an answer, as the base's generation config has them."""
    file = folder / GENERATION
    ends = read_object(file).get("eos_token_id") if file.is_file() else None
    return [end for end in (ends if isinstance(ends, list) else [ends]) if isinstance(end, int)]


def embedding_rows(folder: Path) -> int | None:
    """Return how many tokens the base has embeddings for, None where its config does not say."""
    config = read_object(folder / CONFIG)
    for section in (config.get("text_config"), config.get("llm_config"), config):
        rows = section.get("vocab_size") if isinstance(section, dict) else None
        if isinstance(rows, int) and rows > 0:
            return rows
    return None


def load_base(
    folder: Path, cfg: ModelConfig, *, half: torch.dtype | None, device: str = "cpu"
) -> PreTrainedModel:
    """Return the base model with frozen weights; in 4 bits on the GPU if there is one.

    Args:
        folder: what `find_base` returned.
        cfg: the model section.
        half: the type that `dtype: auto` means: a GPU's half precision, or None for float32.
        device: where the files are mapped to; a GPU's weights never exist in the machine's memory.

    Raises:
        MissingPartError: transformers cannot build or fill the model, not all of its weights are
            in the files, or 4 bits are asked for without bitsandbytes.
    """
    _quiet()
    dtype = getattr(torch, cfg.dtype) if cfg.dtype != "auto" else half or torch.float32
    quantized = quantization(cfg, compute=dtype)
    config = read_config(folder)
    _check_size(folder, cfg, dtype)
    if has_soft_cap(config):
        _log.info(
            "attention: eager, because this base caps its attention scores, which sdpa would not do"
        )
    model: PreTrainedModel
    try:
        with no_input():
            model, filled = model_class(config).from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attention_of(cfg, config),
                quantization_config=quantized,
                device_map=None if device == "cpu" else {"": torch.cuda.current_device()},
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except MedloraError:
        raise
    except Exception as error:  # whatever a family's own code raises
        if ran_out_of_memory(error):
            raise  # told by whoever knows what was loaded besides
        raise _cannot_load(folder, error) from error
    _check_filled(folder, filled["missing_keys"])
    model.requires_grad_(requires_grad=False)
    keep_trainable(model)
    return model


def _check_size(folder: Path, cfg: ModelConfig, dtype: torch.dtype) -> None:
    """Refuse a config that asks for far more weights than the files hold, before it is built.

    What is not in the files would be made up, in the machine's memory.
    """
    shapes = skeleton(folder, cfg, half=dtype)
    asked = sum({id(parameter): parameter.numel() for parameter in shapes.parameters()}.values())
    held = sum((folder / name).stat().st_size for name in weight_files(folder))
    if asked > _MOST_WEIGHTS_A_BYTE * held:
        raise MissingPartError(
            f"{folder}: config.json describes {asked:,} weights, but the files have {held:,} bytes",
            fix="copy the whole folder again",
        )


def _built_as(config: Mapping[str, Any]) -> str:
    """Return the class that the weights were saved from, as the config names it."""
    return str((config.get("architectures") or ["an unknown architecture"])[0])


def _check_filled(folder: Path, missing: Collection[str]) -> None:
    """Refuse a base that transformers has filled up with random numbers."""
    if missing:
        built = _built_as(read_object(folder / CONFIG))
        raise MissingPartError(
            f"{folder}: {len(missing)} weights of a causal language model are missing, "
            f"first {min(missing)}",
            fix=f"use a base {CAUSAL_LM_HINT}; this one was saved as {built}",
        )


def _cannot_load(folder: Path, error: Exception) -> MissingPartError:
    return no_such_class(folder, error) or MissingPartError(
        f"{folder}: the weights cannot be loaded ({type(error).__name__}: {reason_of(error)})",
        fix="copy the folder again and compare its SHA-256 with the source's",
    )


def _quiet() -> None:
    """Keep transformers' advice and bars out of a run's output; errors still raise."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
