"""A thought and the answer behind it are told apart, whoever wrote the tags."""

import pytest

from medlora.data.chat.thoughts import (
    TAGS,
    Response,
    inline_thought,
    opened_thought,
    split_thought,
    written_thought,
)


@pytest.mark.parametrize("tag", TAGS)
def test_what_a_model_says_is_its_answer(tag: str) -> None:
    """Of every family's tags; where the prompt has opened the thought, and where it did not."""
    written = f"{tag}\nhm\n{TAGS[tag]}\n\nrest"
    assert split_thought(written) == Response("rest", "hm")
    assert split_thought(written.removeprefix(tag), opened=tag) == Response("rest", "hm")
    assert split_thought(f"{tag}\nhm", opened=None) == Response("", "hm", ended=False)
    assert split_thought("hm", opened=tag) == Response("", "hm", ended=False)
    assert split_thought("rest") == Response("rest")


def test_the_parts_of_a_text_add_up_to_it() -> None:
    """Only a closed thought at the beginning is one."""
    for text in ("<think>\nhm\n</think>\n\nrest\n", " <think></think>rest", "<think>a</think>"):
        parts = inline_thought(text)
        assert parts is not None
        assert "".join(parts) == text
    assert inline_thought("<think>\nhm\n</think>\n\nrest\n")[1::2] == ("hm", "rest")
    for text in ("rest", "rest <think>a</think>", "<think>a"):
        assert inline_thought(text) is None


def test_a_thought_goes_on_from_its_prompt() -> None:
    """In the white space that the prompt has left."""
    assert opened_thought("<|assistant|><think>\n") == "<think>"
    assert opened_thought("<|assistant|><think></think>") is None
    for prompt in ("<|assistant|>", "<|assistant|><think>", "<|assistant|><think>\n"):
        whole = prompt + written_thought(prompt, "hm") + "rest"
        assert whole == "<|assistant|><think>\nhm\n</think>\n\nrest"
    assert written_thought("x[THINK]", "hm") == "hm[/THINK]"
    assert written_thought("x<think>", "", closed="</think>") == "</think>"


def test_the_answer_of_gpt_oss_has_no_header() -> None:
    """Its channel is not what it says."""
    said = (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>rest"
    )
    assert split_thought(said) == Response("rest", "hm")
    assert split_thought("<|channel|>final<|message|>rest") == Response("rest")
