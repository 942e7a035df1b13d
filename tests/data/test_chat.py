"""The loss sees the assistant's tokens and nothing else, whatever the template."""

import random

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


@pytest.mark.parametrize("template", [None, REFUSES], ids=["marked", "refusing"])
def test_plain_text_is_learnt_whole(tokenizer, template: str | None) -> None:
    """No template; all but the mark of the beginning, the mark of the end among it."""
    tokenizer.chat_template = template or tokenizer.chat_template
    record = Record(1, (Message("text", "a textbook, not a chat", learn=True),))
    (tokens,) = tokenize(tokenizer, [record])
    begin, end = tokenizer.bos_token or "", tokenizer.eos_token or ""
    assert tokenizer.decode(tokens.ids) == f"{begin}a textbook, not a chat{end}"
    assert learnt(tokenizer, tokens) == f"a textbook, not a chat{end}"


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


def conversations() -> list[Record]:
    """Many turns of awkward text, some of them without weight."""
    draw = random.Random(4)
    pieces = ("pain", " in ", "the chest", "😀", "مرحبا", "é", "\n\n", "<|end|>", "  ", "日本", "a")
    made = []
    for line in range(1, 60):
        messages = [Message("system", "take care")] if draw.random() < 0.4 else []
        for _ in range(draw.randint(1, 4)):
            asked, told = ("".join(draw.choices(pieces, k=draw.randint(1, 9))) for _ in range(2))
            learn = draw.random() < 0.7
            messages += [Message("user", asked), Message("assistant", told, learn=learn)]
        made.append(Record(line, (*messages[:-1], messages[-1]._replace(learn=True))))
    return made


def by_hand(tokenizer, record: Record) -> tuple[list[int], list[bool]]:
    """Ids and mask as transformers itself makes them, one conversation at a time."""
    turns = [{"role": m.role, "content": m.content} for m in record.messages]
    encoded = tokenizer.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return encoded["input_ids"], [bool(bit) for bit in encoded["assistant_masks"]]


def by_prefix(tokenizer, record: Record) -> tuple[list[int], list[bool]]:
    """Ids and mask by the offsets of each token and the lengths of the rendered prefixes."""
    turns = [{"role": m.role, "content": m.content} for m in record.messages]

    def render(count: int, *, prompt: bool = False) -> str:
        return tokenizer.apply_chat_template(
            turns[:count], tokenize=False, add_generation_prompt=prompt
        )

    whole = tokenizer(render(len(turns)), add_special_tokens=False, return_offsets_mapping=True)
    spans = [
        (len(render(n, prompt=True)), len(render(n + 1)))
        for n, message in enumerate(record.messages)
        if message.learn
    ]
    ends = [end for _, end in whole["offset_mapping"]]
    mask = [any(start < end <= stop for start, stop in spans) for end in ends]
    return whole["input_ids"], mask


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_many_at_once_are_what_each_is_by_itself(tokenizer, template: str | None) -> None:
    """Ids and mask agree with transformers' own, or with the offsets, token by token."""
    tokenizer.chat_template = template or tokenizer.chat_template
    reference = by_prefix if template else by_hand
    records = conversations()
    if not template:
        learnt_all = [m._replace(learn=m.role == "assistant") for r in records for m in r.messages]
        turns = iter(learnt_all)
        records = [Record(r.line, tuple(next(turns) for _ in r.messages)) for r in records]
    for record, tokens in zip(records, tokenize(tokenizer, records), strict=True):
        ids, mask = reference(tokenizer, record)
        assert tokens.line == record.line
        assert tokens.ids.tolist() == ids
        assert tokens.learn.tolist() == mask


def test_turns_without_weight_lose_just_their_own_tokens(tokenizer) -> None:
    """With marks: the mask of all turns, less those of weight 0."""
    records = conversations()
    for record, tokens in zip(records, tokenize(tokenizer, records), strict=True):
        told = [m for m in record.messages if m.role == "assistant"]
        expected = "".join(f"{m.content}<|end|>" for m in told if m.learn)
        assert learnt(tokenizer, tokens) == expected


def test_marks_that_cannot_be_told_apart_refuse_a_weight_of_0(tokenizer) -> None:
    """One mark around two answers: which tokens to leave out nobody knows."""
    tokenizer.chat_template = (
        "{% generation %}{% for m in messages %}{{ m['content'] }}{% endfor %}{% endgeneration %}"
    )
    muted = CHAT.messages[2]._replace(learn=False)
    (problem,) = tokenize(tokenizer, [Record(3, (*CHAT.messages[:2], muted, *CHAT.messages[3:]))])
    assert isinstance(problem, Problem)
    assert "none can have weight 0" in problem.found
    assert isinstance(next(tokenize(tokenizer, [CHAT])), Tokens)


def test_without_encoding_only_problems_are_found(tokenizer) -> None:
    """The rest of a file that is refused anyway costs little."""
    assert list(tokenize(tokenizer, [CHAT], encode=False)) == []
    tokenizer.chat_template = REFUSES
    assert len(list(tokenize(tokenizer, [CHAT], encode=False))) == 1
