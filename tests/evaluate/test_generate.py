"""Answers are greedy, end by themselves, and leave every random state alone."""

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, LogitsProcessorList

from medlora.config import LoraConfig, ModelConfig
from medlora.errors import DataError
from medlora.evaluate.generate import Answer, answers, encode_prompt, generate
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.model.kinds import position_limit
from tests.tiny import enliven


def test_answers_are_repeatable_and_disturb_nothing(base_folder: Path, chat) -> None:
    """Same answers twice; the training mode and the random state are as before."""
    base = load_base(base_folder, ModelConfig(), half=None)
    model = enliven(attach(base, LoraConfig(r=4, lora_dropout=0.9), seed=1)).train()
    state = torch.get_rng_state()
    first = answers(model, chat, ["pain in the chest", "rest"], max_new_tokens=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert first == answers(model, chat, ["pain in the chest", "rest"], max_new_tokens=5)
    assert len(first) == 2


PROMPTS = [f"{'pain in the chest ' * (n % 4)}{n} rest" for n in range(16)]


def all_ways(model, chat, prompts: list[str], *, tokens: int) -> list[list[Answer]]:
    """The answers in batches of 1 and 16."""
    return [
        generate(model, chat, prompts, max_new_tokens=tokens, batch_size=size) for size in (1, 16)
    ]


@pytest.mark.parametrize("half", [None, torch.bfloat16])
def test_answers_do_not_depend_on_the_batch(base_folder: Path, chat, half) -> None:
    """Prompts of unequal lengths, alone and together; in bfloat16, where rounding is coarse."""
    model = load_base(base_folder, ModelConfig(), half=half)
    one, *others = all_ways(model, chat, PROMPTS, tokens=8)
    assert all(found == one for found in others)
    assert len({answer.text for answer in one}) > 4


def test_ties_are_decided_the_same_in_any_batch(base_folder: Path, chat, monkeypatch) -> None:
    """Every token has a twin whose logit is as large; without the arbiter rounding decides."""
    model = load_base(base_folder, ModelConfig(), half=None)
    with torch.no_grad():
        head, noise = model.lm_head.weight, torch.Generator().manual_seed(1)
        head[210:] = head[:210] * (1 + 1e-6 * torch.randn(210, 1, generator=noise))
    one, *others = all_ways(model, chat, PROMPTS, tokens=8)
    assert all(found == one for found in others)
    nobody = LogitsProcessorList()
    monkeypatch.setattr("medlora.evaluate.generate.LogitsProcessorList", lambda _: nobody)
    one, *others = all_ways(model, chat, PROMPTS, tokens=8)
    assert any(found != one for found in others)


def test_an_answer_ends_at_its_own_limit(base_folder: Path, chat) -> None:
    """A long prompt beside short ones has fewer positions left, in every batch."""
    model = load_base(base_folder, ModelConfig(), half=None)
    long = next(
        text
        for text in ("rest " * count for count in range(60, 1, -1))
        if 50 < encode_prompt_length(model, chat, text) < 62
    )
    one, *others = all_ways(model, chat, ["pain", long, "rest"], tokens=30)
    assert all(found == one for found in others)
    assert one[1].cut


def encode_prompt_length(model, chat, text: str) -> int:
    """Tokens of a prompt; 99 where it does not fit."""
    try:
        return encode_prompt(chat, text, limit=position_limit(model.config))["input_ids"].shape[1]
    except DataError:
        return 99


def test_the_base_s_own_way_to_generate_is_left_aside(base_folder: Path, chat) -> None:
    """Sampling and penalties of its generation_config change nothing, and are there afterwards."""
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=4), seed=1)
    plain = answers(model, chat, ["pain", "rest"], max_new_tokens=8)
    own = GenerationConfig(
        do_sample=True, temperature=9.0, repetition_penalty=5.0, no_repeat_ngram_size=1
    )
    model.get_base_model().generation_config = own
    assert answers(model, chat, ["pain", "rest"], max_new_tokens=8) == plain
    assert model.get_base_model().generation_config is own


def test_the_base_s_end_tokens_end_an_answer(base_folder: Path, chat) -> None:
    """Chat models have several; the chat names one of them."""
    model = load_base(base_folder, ModelConfig(), half=None)
    (whole,) = generate(model, chat, ["pain"], max_new_tokens=8, batch_size=1)
    prompt = encode_prompt(chat, "pain", limit=None)["input_ids"]
    with torch.no_grad():
        first = int(model(prompt).logits[0, -1].argmax())
    model.generation_config.eos_token_id = [first, 7]
    (ended,) = generate(model, chat, ["pain"], max_new_tokens=8, batch_size=1)
    assert whole.cut
    assert ended == Answer("", cut=False)


def test_an_answer_stands_behind_its_thought(tokenizer) -> None:
    """Whether the model or its prompt opened it; one that never ends is no answer."""
    from medlora.data.chat.chat import Chat

    tokenizer.add_tokens(["<think>", "</think>"])
    chat = Chat(tokenizer)

    def said(text: str, prompt: str = "<|assistant|>"):
        encode = tokenizer.encode
        return chat.response(encode(text), encode(prompt))

    assert said("pain") == ("pain", None, True)
    assert said("<think>\nis it bad\n</think>\n\nrest") == ("rest", "is it bad", True)
    assert said("is it bad\n</think>\n\nrest", "<|assistant|><think>\n") == (
        "rest",
        "is it bad",
        True,
    )
    assert said("is it bad", "<|assistant|><think>\n") == ("", "is it bad", False)
