"""Bases that somebody has tampered with: each a good base with one thing made hostile.

`CODE` is what a base's own code does if it runs: it leaves a file.  `outside` is a folder with
files that nothing may read.
"""

import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Change = Callable[[Path, Path], None]
INDEX = "model.safetensors.index.json"
CODE = """import pathlib
pathlib.Path({mark!r}).write_text("ran")
class T:
    def __init__(self, *args, **kwargs): pass
    @classmethod
    def from_pretrained(cls, *args, **kwargs): return cls()
class Config(T): model_type = "own"
Model = Tokenizer = T
"""
_NUMBERS: tuple[Any, ...] = (0, -1, 10**7, 10**12, 10**30, 1.5, "a", None, True, [], {}, [4])
_SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "vocab_size",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "head_dim",
    "max_position_embeddings",
)
_OTHERS: dict[str, tuple[Any, ...]] = {
    "model_type": (None, "", 7, [], {}, "own", "../outside/own", "llama\x1b[31m", "T5", "clip"),
    "architectures": ("LlamaForCausalLM", 7, [7], {}, [None], ["os.system"], ["Own"]),
    "transformers_weights": ("../outside/w.safetensors", "/etc/passwd", "pytorch_model.bin", 7),
    "quantization_config": (
        7,
        "gptq",
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "awq"},
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "compressed-tensors"},
        {"quant_method": "fp8"},
        {"quant_method": "own"},
        {"quant_method": ["x"]},
    ),
    "attn_implementation": ("own/kernel", "flash_attention_2", 7, {"": "own/kernel"}),
    "_attn_implementation_internal": ("own/kernel",),
    "experts_implementation": ("own/kernel",),
    "dtype": ("os.system", "float99", 7, [], "int8"),
    "_name_or_path": ("../outside", "own/model", 7),
    "rope_parameters": ({"rope_type": "own"}, {"rope_type": "yarn"}, 7, "x", {"rope_theta": "x"}),
    "rms_norm_eps": ("x", None, [], float("nan"), -1.0),
    "hidden_act": ("os.system", 7, None),
    "tie_word_embeddings": ("x", 7, None, False),
    "eos_token_id": ("x", [[2]], -7, 10**9, 1.5),
    "pad_token_id": ("x", -7, 10**9),
    "text_config": ({}, 7, {"model_type": "own"}, {"auto_map": {"AutoConfig": "own.Config"}}),
    "sub_configs": ({"x": "own"},),
    "id2label": (7, {"x": 1}, ["a"]),
    "layer_types": (["own"] * 4, ["full_attention"], 7),
    "sliding_window": ("x", -3),
    "auto_map": ({"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}, "own", 7),
    "custom_pipelines": ({"text-generation": {"impl": "own.T", "pt": ["Own"]}},),
    "attention_bias": ("x", True),
    "is_encoder_decoder": (True,),
    "pretraining_tp": (3, "x"),
    "initializer_range": ("x", -1.0),
}
_TOKENIZER: dict[str, tuple[Any, ...]] = {
    "auto_map": ({"AutoTokenizer": ["own.Tokenizer", None]}, ["own.Tokenizer", None], 7),
    "tokenizer_class": ("T", "Own", "os.path", 7, [], None, "LlamaTokenizer", "BertTokenizer"),
    "tokenizer_file": ("../outside/tokenizer.json", "/etc/passwd", 7),
    "vocab_file": ("../outside/vocab.json", "/etc/passwd"),
    "merges_file": ("../outside/merges.txt",),
    "vocab": ("../outside/vocab.json", "/dev/zero"),
    "gguf_file": ("../outside/vocab.json",),
    "init_inputs": (["../outside/vocab.json"], "x"),
    "fast_tokenizer_files": (["../outside/tokenizer.4.0.0.json"], ["tokenizer.4.0.0.json"], 7),
    "chat_template": (7, [], {}, {"own": "x"}, [{"name": "default", "template": 7}], "{% bad"),
    "added_tokens_decoder": (
        7,
        {"x": 1},
        {"1": {"content": "a", "own": 1}},
        {"1": {"content": "a", "special": True}},
        {"-5": {}},
    ),
    "extra_special_tokens": (7, "x", {"a": 7}),
    "additional_special_tokens": (7, ["a", 7]),
    "eos_token": (7, None, {"content": 7}, "", "no such token"),
    "pad_token": (7, {"__type": "AddedToken"}),
    "model_max_length": ("x", -1, 10**40, None),
    "padding_side": ("own", 7),
    "clean_up_tokenization_spaces": ("x",),
    "add_bos_token": ("x", True),
    "processor_class": ("own.T",),
    "backend": ("own", "sentencepiece"),
}
_TEMPLATES = (
    "{% for i in range(10**9) %}{% for j in range(10**9) %}{% endfor %}{% endfor %}",
    "{{ 'x' * 10**10 }}",
    "{% include '../outside/secret.txt' %}",
    "{% import 'os' as os %}{{ os }}",
    "{{ messages.__class__.__mro__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('id') }}",
    "{{ raise_exception(messages[0].content) }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ namespace.__globals__ }}",
    "{% if messages[0].content not in ('Why?', 'u', 's') %}"
    + "{% for i in range(99999) %}" * 3
    + "{% endfor %}" * 3
    + "{% endif %}",
    "",
)
_PIECES: dict[str, Any] = {
    "pre_tokenizer": {
        "type": "Split",
        "pattern": {"Regex": "(a+)+(b+)+([a-z]+)+(\\s+)+$"},
        "behavior": "Isolated",
        "invert": False,
    },
    "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    "model": {"type": "BPE", "vocab": {}, "merges": []},
    "decoder": {"type": "Own"},
    "post_processor": {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": 7},
    "added_tokens": [{"id": 10**9, "content": "x", "special": True}],
    "version": "99",
}


def hostile_bases() -> Iterator[tuple[str, Change]]:
    """Yield a name and a change for each, in a fixed order."""
    sizes = dict.fromkeys(_SIZES, _NUMBERS)
    yield from _values("config.json", {**sizes, **_OTHERS})
    yield "config code of an unknown family", _own_family
    yield "model code of a family that does not write", _own_model
    yield "generate code", _own_generate
    yield from _values("tokenizer_config.json", _TOKENIZER)
    yield "a vocabulary elsewhere", _vocabulary_elsewhere
    for key, value in _PIECES.items():
        yield f"tokenizer.json {key}", _set("tokenizer.json", key, value)
    for number, template in enumerate(_TEMPLATES):
        yield f"template {number}", _write("chat_template.jinja", template.encode())
    yield from _indexes()
    yield from _files()
    yield from _weights()


def _values(file: str, values: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, Change]]:
    for key, each in values.items():
        for value in each:
            yield f"{file} {key} {value!r}"[:70], _set(file, key, value)


def _set(name: str, key: str, value: object) -> Change:
    def change(base: Path, _: Path) -> None:
        content = json.loads((base / name).read_text())
        content[key] = value
        (base / name).write_text(json.dumps(content))

    return change


def _write(name: str, content: bytes) -> Change:
    def change(base: Path, _: Path) -> None:
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_bytes(content)

    return change


def _own_family(base: Path, outside: Path) -> None:
    _set("config.json", "model_type", "own")(base, outside)
    _set("config.json", "auto_map", {"AutoConfig": "own.Config"})(base, outside)


def _vocabulary_elsewhere(base: Path, outside: Path) -> None:
    (base / "tokenizer.json").unlink()
    _set("tokenizer_config.json", "tokenizer_class", "GPT2Tokenizer")(base, outside)
    _set("tokenizer_config.json", "vocab", "../outside/vocab.json")(base, outside)
    _set("tokenizer_config.json", "merges", "../outside/merges.txt")(base, outside)


def _own_model(base: Path, outside: Path) -> None:
    _set("config.json", "model_type", "t5")(base, outside)
    _set("config.json", "auto_map", {"AutoModelForCausalLM": "own.Model"})(base, outside)


def _own_generate(base: Path, _: Path) -> None:
    (base / "custom_generate").mkdir()
    (base / "custom_generate/generate.py").write_text((base / "own.py").read_text())


def _indexes() -> Iterator[tuple[str, Change]]:
    """Yield bases whose index names what it should not."""
    names: tuple[Any, ...] = (
        "pytorch_model.bin",
        "../outside/w.safetensors",
        "/etc/passwd",
        "own.py",
        "sub/w.safetensors",
        "..",
        ".safetensors/../own.py",
        "w.SAFETENSORS",
        "no.safetensors",
        "a\x00b.safetensors",
        "",
        7,
        None,
        ["w.safetensors"],
    )
    for name in names:
        yield f"index of {name!r}", _index({"weight_map": {"model.norm.weight": name}})
    for content in ({}, [], {"weight_map": []}, {"weight_map": {}}, 7):
        yield f"index {content!r}", _index(content)
    yield "index is no JSON", _no_whole(_write(INDEX, b"\xff{"))
    yield "index is deep", _no_whole(_write(INDEX, b"[" * 100_000))


def _index(content: object) -> Change:
    return _no_whole(_write(INDEX, json.dumps(content).encode()))


def _no_whole(change: Change) -> Change:
    def both(base: Path, outside: Path) -> None:
        (base / "model.safetensors").rename(base / "w.safetensors")
        (base / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
        change(base, outside)

    return both


def _files() -> Iterator[tuple[str, Change]]:
    """Yield bases with files that are none, or lie elsewhere."""
    names = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
    for name in (*names, "chat_template.jinja", "model.safetensors"):
        yield f"{name} is a link", _link(name)
        yield f"{name} is a FIFO", _fifo(name)
        yield f"{name} is a folder", _folder(name)
        yield f"{name} is a device", _to(name, "/dev/zero")
        yield f"{name} is a loop", _to(name, name)
        yield f"{name} is empty", _write(name, b"")
    for name in names:
        yield f"{name} is a list", _write(name, b"[1]")
        yield f"{name} is no UTF-8", _write(name, b"\xff\xfe{")
        yield f"{name} is deep", _write(name, b'{"a":' * 100_000)
        yield f"{name} is large", _write(name, b'{"a": "' + b"x" * (1 << 27) + b'"}')
    yield "an adapter beside it", _write("adapter_config.json", b'{"peft_type": "LORA"}')
    yield "other templates", _write("additional_chat_templates/own.jinja", b"{{ 'x' * 10**10 }}")
    for name in ("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"):
        yield f"{name} too", _write(name, b"[7]")
        yield f"{name} elsewhere", _link(name)


def _link(name: str) -> Change:
    def change(base: Path, outside: Path) -> None:
        (outside / name).write_bytes(
            (base / name).read_bytes() if (base / name).exists() else b"{}"
        )
        (base / name).unlink(missing_ok=True)
        (base / name).symlink_to(outside / name)

    return change


def _to(name: str, target: str) -> Change:
    def change(base: Path, _: Path) -> None:
        (base / name).unlink()
        (base / name).symlink_to(target)

    return change


def _fifo(name: str) -> Change:
    def change(base: Path, _: Path) -> None:
        (base / name).unlink()
        os.mkfifo(base / name)

    return change


def _folder(name: str) -> Change:
    def change(base: Path, _: Path) -> None:
        (base / name).unlink()
        (base / name).mkdir()

    return change


def _weights() -> Iterator[tuple[str, Change]]:
    """Yield bases whose weights are no safetensors, or not what their header says."""
    headers: tuple[Any, ...] = (
        {"model.norm.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}},
        {"model.norm.weight": {"dtype": "OWN", "shape": [2], "data_offsets": [0, 8]}},
        {"model.norm.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**50]}},
        {"model.norm.weight": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"__metadata__": {"format": "own"}},
        {},
        [],
    )
    for number, header in enumerate(headers):
        text = json.dumps(header).encode()
        content = struct.pack("<Q", len(text)) + text + b"\0" * 8
        yield f"weights {number}", _write("model.safetensors", content)
    yield "a header without end", _write("model.safetensors", struct.pack("<Q", 2**60))
    yield "weights are pickled", _write("model.safetensors", b"\x80\x04cos\nsystem\n.")
