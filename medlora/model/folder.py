"""What is read of a folder that somebody hands over: a base, a tokenizer or an adapter.

A closed list of files, each inside the folder; safetensors alone; numbers that a model can have.
All of it is looked at before transformers or PEFT see the folder, and the digest of a base is that
of the same list, so that it covers what is loaded and nothing else.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from medlora.errors import MissingPartError, StorageError
from medlora.model.file_names import CONFIG, DESCRIPTION, GENERATION, WEIGHTS

INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
# What transformers looks for: config, generation config, and the parts of tokenizers.
_SETTINGS = (CONFIG, GENERATION)
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tiktoken.model",
    "tekken.json",
)
TEMPLATES = "additional_chat_templates"
_OF_KEYS = ("tokenizer_config.json", "special_tokens_map.json")
_NOT_OPENED = ("tokenizer_file", "special_tokens_map_file", "added_tokens_file")  # but the folder's
_VOCABULARIES = [name for name in _TOKENIZER if name.endswith((".txt", ".model"))]
_MOST_BYTES = {  # the largest that is known has 2**25
    **dict.fromkeys(("tokenizer.json", "vocab.json", "tekken.json", *_VOCABULARIES), 1 << 27),
    INDEX: 1 << 26,
}
_FEW_BYTES = 1 << 24
_COPY = "copy the whole folder again"
_OTHER_BASE = "use a base whose architecture transformers knows"
# How large the numbers of a config may be, by what their names hold; the first that fits.  The
# largest published models have 126 layers, 512 experts, 2**18 tokens and 2**24 positions.
_LIMITS = (
    (re.compile(r"position|_len|length|context|window(?!_layers)|chunk"), 1 << 31),
    (re.compile(r"layer|depth|blocks"), 1 << 11),
    (re.compile(r"expert|heads|^n_head$|groups?$"), 1 << 14),
    (
        re.compile(r"vocab"),
        1 << 26,
    ),  # of words of several tokens too: Qwen's n-grams are 20 million
    (re.compile(r"size|dim|rank|width|hidden|inter|inner|embd|ffn|channels|^d_"), 1 << 23),
)
_LARGEST = 1 << 53  # what JSON's numbers hold exactly
_LARGEST_RANK = 1 << 16  # more than any layer's width


def find_base(value: str, *, mount: Path) -> Path:
    """Return the folder of the base model.

    The path itself if it has a config.json, else its only subfolder that has one.  A relative
    path counts from the working directory, then from the mount.

    Raises:
        MissingPartError: there is no model, or several could be meant.
    """
    roots = list(dict.fromkeys((Path(value), mount / value)))
    for root in roots:
        if (root / CONFIG).is_file():
            return root
    inner = [path.parent for root in roots for path in sorted(root.glob("*/config.json"))]
    if len(inner) == 1:
        return inner[0]
    where = " or ".join(str(root) for root in roots)
    if not inner:
        raise MissingPartError(
            f"model.base_model_name: no config.json in {where}",
            fix="mount the folder of a base model that holds config.json and *.safetensors",
        )
    names = ", ".join(path.name for path in inner)
    raise MissingPartError(
        f"{where}: holds {len(inner)} models ({names})", fix="name one in model.base_model_name"
    )


def loaded_files(folder: Path) -> list[str]:
    """Return the names of the files that loading a base reads, sorted: what its digest covers."""
    return sorted({*_there(folder, _SETTINGS), *_of_tokenizer(folder), *weight_files(folder)})


def weight_files(folder: Path) -> list[str]:
    """Return the names of the files that hold the weights, an index among them, as loaded.

    A whole file goes before an index, as in transformers.

    Raises:
        MissingPartError: the index names something else than safetensors in the folder.
    """
    if _there(folder, [_WHOLE]):
        return [_WHOLE]
    if not _there(folder, [INDEX]):
        return []
    return [INDEX, *_shards(folder)]


def check_base_folder(folder: Path) -> dict[str, Any]:
    """Refuse a base that cannot be loaded safely, and return its config.

    Raises:
        MissingPartError: weights are missing or pickled, a file lies elsewhere, or the config
            asks for what no model has.
        StorageError: a file cannot be read.
    """
    check_inside(folder, [CONFIG])
    config = read_object(folder / CONFIG)
    _check_config(folder, config)
    if _there(folder, [DESCRIPTION]):
        raise MissingPartError(
            f"{folder / DESCRIPTION}: an adapter is in the base's folder, and would be loaded "
            "with it",
            fix="keep adapters in folders of their own",
        )
    names = weight_files(folder)
    if not names:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        what = "weights are pickled, which can run code" if pickled else "no weights"
        raise MissingPartError(f"{folder}: {what}", fix="provide *.safetensors")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise MissingPartError(
            f"{folder}: {len(missing)} of {len(names) - 1} weight files are missing, "
            f"first {missing[0]}",
            fix=_COPY,
        )
    check_inside(folder, loaded_files(folder))
    return config


def check_tokenizer_folder(folder: Path) -> None:
    """Refuse a tokenizer that reads other files than its own, or that is no tokenizer.

    Raises:
        MissingPartError: its files lie elsewhere, are too large or are no JSON objects.
        StorageError: a file cannot be read.
    """
    names = _of_tokenizer(folder)
    check_inside(folder, [*names, *_there(folder, _SETTINGS)])
    for name in names:
        if name.endswith(".json") and name not in ("vocab.json", "tekken.json"):
            read_object(folder / name)
    for name in _OF_KEYS:
        if name in names and _names_others(folder, names, read_object(folder / name)):
            raise MissingPartError(
                f"{folder / name}: refers to files other than the tokenizer's standard ones",
                fix="save it again: AutoTokenizer.from_pretrained(...).save_pretrained()",
            )


def check_adapter_folder(folder: Path) -> None:
    """Refuse an adapter that is not LoRA in safetensors, or that asks for other libraries.

    Raises:
        MissingPartError: it is something else, or lies elsewhere.
        StorageError: a file cannot be read.
    """
    check_inside(folder, [DESCRIPTION, WEIGHTS])
    description = read_object(folder / DESCRIPTION)
    if description.get("peft_type") != "LORA":
        raise MissingPartError(
            f"{folder / DESCRIPTION}: is not a LoRA adapter", fix="use an adapter of the type LORA"
        )
    if description.get("megatron_config"):
        raise MissingPartError(
            f"{folder / DESCRIPTION}: needs another library (megatron_core)",
            fix="save the adapter without megatron_config",
        )
    if description.get("layer_replication"):
        raise MissingPartError(
            f"{folder / DESCRIPTION}: repeats layers of its base (layer_replication), which is not "
            "supported",
            fix="use an adapter that was trained without it",
        )
    ranks = {name: description.get(name) for name in ("r", "rank_pattern")}
    for name, rank in _numbers(ranks):
        if not 0 < rank <= _LARGEST_RANK:
            raise MissingPartError(
                f"{folder / DESCRIPTION}: the rank {name} is {rank}, not 1 to {_LARGEST_RANK}",
                fix="copy the adapter again",
            )


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        MissingPartError: it is something else, or larger than such files are.
        StorageError: it cannot be read.
    """
    _check_file(path)
    try:
        _refuse_large(path)
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be read ({type(error).__name__})", fix="copy the base model again"
        ) from error
    except (ValueError, RecursionError):
        raise MissingPartError(f"{path}: is not readable JSON", fix=_COPY) from None
    if not isinstance(value, dict):
        raise MissingPartError(f"{path}: is not a JSON object", fix=_COPY)
    return value


def _there(folder: Path, names: Iterable[str]) -> list[str]:
    """Return which names a folder has, whatever they are: what is no file is refused later."""
    return [name for name in names if os.path.lexists(folder / name)]


def _of_tokenizer(folder: Path) -> list[str]:
    """Return the names of a tokenizer's files: its own, and those for a version of transformers."""
    templates = [f"{TEMPLATES}/{path.name}" for path in (folder / TEMPLATES).glob("*.jinja")]
    versions = [path.name for path in folder.glob("tokenizer.*.json")]
    return [*_there(folder, _TOKENIZER), *templates, *versions]


def _names_others(folder: Path, names: Iterable[str], settings: Mapping[str, Any]) -> bool:
    """Tell whether keys of a tokenizer name files that are none of its own.

    Each key is an argument of its class, some of which open what they are given.  A file that is
    not there, as where it was saved once, does no harm.
    """
    versions = settings.get("fast_tokenizer_files") or []
    if settings.get("init_inputs") or not (_is_names(versions) and {*versions} <= {*names}):
        return True
    own = {(folder / name).resolve() for name in names}
    return any(
        path not in own
        for key, value in settings.items()
        if isinstance(value, str) and key not in _NOT_OPENED
        for path in _paths_named(value, folder)
    )


def _paths_named(text: str, folder: Path) -> Iterator[Path]:
    """Yield what a text names that is there and no folder, from here and from a folder."""
    for place in (Path(text), folder / text):
        with suppress(OSError, ValueError):  # most texts are no path
            if not stat.S_ISDIR(place.stat().st_mode):
                yield place.resolve()


def _shards(folder: Path) -> list[str]:
    """Return the weight files that an index names."""
    stated = read_object(folder / INDEX).get("weight_map")
    values = [*stated.values()] if isinstance(stated, dict) else []
    names = set(values) if _is_names(values) else set()
    wrong = [name for name in names if Path(name).name != name or name in ("..", ".")]
    wrong += [name for name in names if not name.endswith(".safetensors")]
    if wrong or not names:
        what = "is outside the folder" if wrong and "/" in min(wrong) else "is not in safetensors"
        problem = f"weight_map names a file that {what}" if wrong else "has no weight_map"
        raise MissingPartError(
            f"{folder / INDEX}: {problem}", fix="provide *.safetensors beside their index"
        )
    return sorted(names)


def check_inside(folder: Path, names: Iterable[str]) -> None:
    """Refuse files that are no files or larger than theirs are, and links that leave the folder.

    A mount of Kubernetes links within itself; a cache of the hub links into its own blobs.

    Raises:
        MissingPartError: names the first.
    """
    root = folder.resolve()
    if root.parent.name == "snapshots":
        root = root.parent.parent
    for name in names:
        path = folder / name
        _check_file(path)
        if not path.resolve().is_relative_to(root):
            raise MissingPartError(
                f"{path}: is a link to a file outside the folder",
                fix="copy the folder with its files, not with links (cp -rL)",
            )
        if path.suffix != ".safetensors":
            _refuse_large(path)


def _check_file(path: Path) -> None:
    """Refuse what is no plain file: reading it might never end."""
    try:
        if path.is_file():
            return
    except OSError:  # a loop of links, or a name that no file can have
        pass
    raise MissingPartError(f"{path}: is missing, or is not a file", fix=_COPY)


def _refuse_large(path: Path) -> None:
    """Refuse a file that is read as a whole and is larger than any of its kind."""
    limit = _MOST_BYTES.get(path.name, _FEW_BYTES)
    if path.stat().st_size > limit:
        raise MissingPartError(
            f"{path}: is larger than {limit >> 20} MiB, the limit for this file", fix=_COPY
        )


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    file = folder / CONFIG
    if not isinstance(config.get("model_type", ""), str):
        raise MissingPartError(f"{file}: model_type is not a name", fix=_COPY)
    named = config.get("architectures")
    if named is not None and not _is_names(named):
        raise MissingPartError(f"{file}: architectures is not a list of names", fix=_COPY)
    if "auto_map" in config and "model_type" not in config:
        raise MissingPartError(
            f"{folder}: the model needs code of its own (auto_map), which is never run",
            fix=_OTHER_BASE,
        )
    if config.get("transformers_weights"):
        raise MissingPartError(
            f"{file}: transformers_weights points to another weights file",
            fix=f"remove that key, or {_COPY}",
        )
    for key, number in _numbers(config):
        limit = next((most for words, most in _LIMITS if words.search(key)), _LARGEST)
        if abs(number) > limit:
            raise MissingPartError(f"{file}: {key} is {number}; the limit is {limit}", fix=_COPY)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _numbers(value: object, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield all whole numbers in a config with the names that they have."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value
