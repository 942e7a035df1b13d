"""The loss sees the assistant's tokens and nothing else, whatever the template."""

import numpy as np
import pytest
from jinja2 import TemplateError

from medlora.data.chat import PLAIN_TEMPLATE, Tokens, ensure_template, tokenize
from medlora.data.problems import Problem
from medlora.data.records import Message, Record
from medlora.errors import ConfigError

CHAT = Record(
    1,
    (
        Message("system", "take care"),
        Message("user", "pain in the chest"),
        Message("assistant", "call for help", learn=True),
        Message("user", "and 😀 مرحبا"),
        Message("assistant", "see a doctor", learn=True),
    ),
)
UNMARKED = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
REWRITES = UNMARKED.replace("{{ m['content'] }}", "{{ messages | length }}{{ m['content'] }}")
REFUSES = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"


def learnt(tokenizer, tokens: Tokens) -> str:
    """The text that carries loss."""
    return tokenizer.decode(tokens.ids[tokens.learn])


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_only_answers_and_their_end_carry_loss(tokenizer, template: str | None) -> None:
    """A template with generation marks and one without give the same mask."""
    tokenizer.chat_template = template or tokenizer.chat_template
    (tokens,) = tokenize(tokenizer, [CHAT])
    assert learnt(tokenizer, tokens) == "call for help<|end|>see a doctor<|end|>"
    whole = tokenizer.apply_chat_template(
        [m._asdict() for m in CHAT.messages], tokenize=True, return_dict=True
    )["input_ids"]
    assert np.array_equal(tokens.ids, whole)


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_a_turn_of_weight_0_carries_no_loss(tokenizer, template: str | None) -> None:
    """OpenAI's weight is honoured on any turn."""
    tokenizer.chat_template = template or tokenizer.chat_template
    muted = CHAT.messages[2]._replace(learn=False)
    record = Record(1, (*CHAT.messages[:2], muted, *CHAT.messages[3:]))
    (tokens,) = tokenize(tokenizer, [record])
    assert learnt(tokenizer, tokens) == "see a doctor<|end|>"


def test_the_plain_template_is_used_and_ends_answers(tokenizer) -> None:
    """Without a template of its own a tokenizer gets the documented one."""
    tokenizer.chat_template = None
    assert ensure_template(tokenizer)
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    (tokens,) = tokenize(tokenizer, [CHAT])
    assert learnt(tokenizer, tokens) == "call for help<|end|>see a doctor<|end|>"
    text = tokenizer.decode(tokens.ids)
    assert text.startswith("take care\n\n### Question\npain in the chest\n\n### Answer\ncall")
    assert not ensure_template(tokenizer)


def test_a_template_that_cannot_be_used_is_a_problem_with_a_line(tokenizer) -> None:
    """Refusing or rewriting templates are named, without the row's text."""
    for template, says in ((REWRITES, "rewrites earlier turns"), (REFUSES, "refuses the turns")):
        tokenizer.chat_template = template
        (problem,) = tokenize(tokenizer, [CHAT])
        assert isinstance(problem, Problem)
        assert problem.line == 1
        assert says in problem.found
        assert "pain" not in problem.found


def test_no_end_token_and_no_template_is_refused(tokenizer) -> None:
    """Without an end token the model would never learn to stop."""
    tokenizer.chat_template, tokenizer.eos_token = None, None
    with pytest.raises(ConfigError, match="neither a chat template nor an eos_token"):
        ensure_template(tokenizer)


def test_template_errors_are_what_we_catch(tokenizer) -> None:
    """A template's own refusal is a jinja2 error in the pinned transformers."""
    tokenizer.chat_template = REFUSES
    with pytest.raises(TemplateError):
        tokenizer.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)
