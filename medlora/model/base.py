"""A base model from a local folder: safetensors only, no code of its own, no network."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer
from transformers.utils import logging as transformers_logging

from medlora.config import ModelConfig
from medlora.errors import MissingPartError, StorageError
from medlora.files import sha256_file
from medlora.logs import logger
from medlora.model.kinds import THAT_WRITES, attention_of, has_soft_cap, model_class, read_config
from medlora.model.quantize import keep_trainable, quantization

_log = logger(__name__)
_INDEX = "model.safetensors.index.json"
# Families that the conformance suite found to differ from plain transformers, for no known cause.
_NOT_RIGHT = frozenset(("hrm_text", "kimi_linear", "moshi"))
_OTHER_TASKS = ("MaskedLM", "ForPreTraining", "Classification", "QuestionAnswering")
_DIGESTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")


def check_base(folder: Path) -> None:
    """Refuse a base that cannot be loaded safely, before anything heavy is imported.

    Raises:
        MissingPartError: weights are missing, pickled, need code that comes with them, or are
            those of another task than writing text.
    """
    config = _read_json(folder / "config.json")
    if "auto_map" in config and "model_type" not in config:
        raise MissingPartError(
            f"{folder}: the model needs code of its own (auto_map), which is never run",
            fix="use a base model whose architecture transformers knows",
        )
    if config.get("model_type") in _NOT_RIGHT:
        raise MissingPartError(
            f"{folder}: the family {config['model_type']} is not trained right here: its loss or "
            "its gradient is not that of its own code",
            fix=f"use a base of another family {THAT_WRITES}",
        )
    built = _built_as(config)
    if built.endswith(_OTHER_TASKS):
        raise MissingPartError(
            f"{folder}: a {built} does not write text", fix=f"use a base {THAT_WRITES}"
        )
    index = folder / _INDEX
    if index.is_file():
        shards = sorted(set(_read_json(index).get("weight_map", {}).values()))
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing:
            raise MissingPartError(
                f"{folder}: {len(missing)} of {len(shards)} weight files are missing, "
                f"first {missing[0]}",
                fix="copy the whole folder again",
            )
    elif not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        what = "weights are pickled, which can run code" if pickled else "no weights"
        raise MissingPartError(f"{folder}: {what}", fix="provide *.safetensors")


def digest_base(folder: Path) -> dict[str, str]:
    """Return {file: SHA-256} of everything in the folder that decides what the base computes."""
    files = {path for pattern in _DIGESTED for path in folder.glob(pattern) if path.is_file()}
    return {path.name: sha256_file(path) for path in sorted(files)}


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
    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise MissingPartError(
            f"{folder}: no tokenizer can be loaded ({type(error).__name__})",
            fix="the folder needs tokenizer.json and tokenizer_config.json",
        ) from error
    return tokenizer


def end_tokens(folder: Path) -> list[int]:
    """Return the ids of the tokens that end an answer, as the base's generation config has them."""
    file = folder / "generation_config.json"
    ends = _read_json(file).get("eos_token_id") if file.is_file() else None
    return [one for one in (ends if isinstance(ends, list) else [ends]) if isinstance(one, int)]


def embedding_rows(folder: Path) -> int | None:
    """Return how many tokens the base has embeddings for, None where its config does not say."""
    config = _read_json(folder / "config.json")
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
    if has_soft_cap(config):
        _log.info("attention: eager, for this base caps its scores, which sdpa would leave out")
    try:
        model: PreTrainedModel
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
    except (torch.OutOfMemoryError, MemoryError):
        raise  # told by whoever knows what was loaded besides
    except Exception as error:  # whatever a family's own code raises
        raise _cannot_load(folder, error) from error
    _check_filled(folder, filled["missing_keys"])
    model.requires_grad_(requires_grad=False)
    keep_trainable(model)
    return model


def _built_as(config: Mapping[str, Any]) -> str:
    """Return the class that the weights were saved from, as the config names it."""
    return str((config.get("architectures") or ["an unknown architecture"])[0])


def _check_filled(folder: Path, missing: Collection[str]) -> None:
    """Refuse a base that transformers has filled up with random numbers."""
    if missing:
        built = _built_as(_read_json(folder / "config.json"))
        raise MissingPartError(
            f"{folder}: {len(missing)} weights of a causal language model are missing, "
            f"first {min(missing)}",
            fix=f"use a base {THAT_WRITES}; this one was saved as {built}",
        )


def _cannot_load(folder: Path, error: Exception) -> MissingPartError:
    if "Unrecognized configuration class" in str(error):
        kind = _read_json(folder / "config.json").get("model_type")
        return MissingPartError(
            f"{folder}: transformers has no causal language model of the type {kind}",
            fix=f"use a base {THAT_WRITES}",
        )
    return MissingPartError(
        f"{folder}: the weights cannot be loaded ({type(error).__name__}: "
        f"{str(error).splitlines()[0][:200] if str(error) else 'no reason given'})",
        fix="copy the folder again and compare its SHA-256 with the source's",
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: cannot be read ({type(error).__name__})", fix="copy the base model again"
        ) from error
    return value if isinstance(value, dict) else {}


def _quiet() -> None:
    """Keep transformers' advice and bars out of a run's output; errors still raise."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
