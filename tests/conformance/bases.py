"""Tiny base models with the tokenizers that people bring: every control token, every habit.

A base is a folder as a model hub has it: tokenizer, chat template, generation config and a Llama
of one layer, made from text that is written here.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.tiny import llama, llama_config

TEXT = (
    "The patient asks about pain in the chest, head and back. Please see a doctor soon if it stays "
    "or gets worse; call for help at once when breathing is hard. Take care, rest, drink water. "
    "What may I take against fever? How long does a cold last? You are a careful assistant. "
    "### Question ### Answer user assistant system tool function arguments name type properties "
    '{"type": "function", "function": {"name": "dose", "description": "", "parameters": {}}} '
    "think about it first, then answer; 12 34 56 78 90 mg"
)
_WORDS = Regex(  # Llama 3's and Qwen's
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_VOCABULARY = 600
_PAD = "<|tiny_pad|>"


class Kind(StrEnum):
    """How a tokenizer cuts text, or what is odd about it."""

    BYTES = "byte-level"
    TRIMMED = "byte-level with trim_offsets"
    NFKC = "byte-level after NFKC"
    PREFIX_ALWAYS = "a prefix space always"
    PREFIX_FIRST = "a prefix space at the beginning"
    PREFIX_LEGACY = "a prefix space by normalizer, with byte fallback"
    BEYOND = "added tokens beyond the embedding"
    NO_PAD = "no pad token"
    PAD_IS_EOS = "the end as pad token"
    TWO_BOS = "the beginning by post-processor as well"


_METASPACE = {Kind.PREFIX_ALWAYS: "always", Kind.PREFIX_FIRST: "first"}


def make_base(
    folder: Path,
    template: str | None,
    *,
    special_tokens: Sequence[str],
    stops: Sequence[str],
    plain_tokens: Sequence[str] = (),
    bos: str | None = None,
    eos: str | None = None,
    kind: Kind = Kind.BYTES,
    weights: bool = True,
) -> Path:
    """Write a base model's folder and return it.

    Args:
        folder: it is made.
        template: the chat template; None for a base without one.
        special_tokens: the template's control tokens.
        stops: what `generation_config.json` lists as ends; all of them are special tokens.
        plain_tokens: tokens that are added but not special, such as `<think>`.
        bos: the token of the beginning, if there is one.
        eos: the tokenizer's end; the first of `stops` unless told.
        kind: how the tokenizer cuts text.
        weights: without them the folder has a tokenizer and configs alone.
    """
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    eos = eos or stops[0]
    names = dict.fromkeys([*([bos] if bos else []), eos, *stops, *special_tokens])
    tokenizer = Tokenizer.from_str(_bare(kind).to_str())
    tokenizer.add_special_tokens([_added(name, special=True) for name in names])
    tokenizer.add_tokens([_added(name, special=False) for name in dict.fromkeys(plain_tokens)])
    if kind is Kind.TWO_BOS and bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, tokenizer.token_to_id(bos))],
        )
    rows = tokenizer.get_vocab_size()
    if kind is Kind.BEYOND:
        tokenizer.add_tokens([f"<extra_{n}>" for n in range(8)])
    pad = {Kind.NO_PAD: None, Kind.PAD_IS_EOS: eos}.get(kind, _PAD)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=eos,
        clean_up_tokenization_spaces=False,
        **({"bos_token": bos} if bos else {}),
        **({"pad_token": pad} if pad else {}),
    )
    fast.save_pretrained(folder)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    ends = [tokenizer.token_to_id(stop) for stop in dict.fromkeys(stops)]
    _write_model(folder, rows, fast, ends, weights=weights)
    return folder


def _added(name: str, *, special: bool) -> AddedToken:
    return AddedToken(name, special=special, normalized=False)


@cache
def _bare(kind: Kind) -> Tokenizer:
    """Return a tokenizer without control tokens."""
    metaspace = kind in _METASPACE or kind is Kind.PREFIX_LEGACY
    tokenizer = Tokenizer(models.BPE(byte_fallback=metaspace, unk_token=None))
    if metaspace:
        _cut_at_spaces(tokenizer, kind)
        alphabet = sorted(set(TEXT))
        special = [_PAD, *(f"<0x{n:02X}>" for n in range(256))]
    else:
        _cut_bytes(tokenizer, kind)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        special = [_PAD]
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    return _without_added(tokenizer)


def _without_added(tokenizer: Tokenizer) -> Tokenizer:
    """Leave the pad token alone special: the bytes of a fallback are plain vocabulary."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [one for one in state["added_tokens"] if one["content"] == _PAD]
    return Tokenizer.from_str(json.dumps(state))


def _cut_bytes(tokenizer: Tokenizer, kind: Kind) -> None:
    if kind is Kind.NFKC:
        tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=kind is Kind.TRIMMED)


def _cut_at_spaces(tokenizer: Tokenizer, kind: Kind) -> None:
    if kind is Kind.PREFIX_LEGACY:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        tokenizer.pre_tokenizer = None
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=_METASPACE[kind])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )


def _write_model(
    folder: Path, rows: int, tokenizer: object, ends: list[int], *, weights: bool
) -> None:
    """Write a Llama of one layer, with `rows` rows of embedding, and what stops it."""
    shape = {
        "vocab_size": rows,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "max_position_embeddings": 4096,
        "initializer_range": 0.02,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": ends[0],
        "pad_token_id": tokenizer.pad_token_id,
        "architectures": ["LlamaForCausalLM"],
    }
    saved = llama(**shape) if weights else llama_config(**shape)
    saved.save_pretrained(folder)
    stated = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": ends}
    (folder / "generation_config.json").write_text(json.dumps(stated), encoding="utf-8")
