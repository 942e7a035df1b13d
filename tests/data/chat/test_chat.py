"""The loss sees the assistant's tokens and nothing else, behind exactly what a server sends."""

import random
from datetime import date

import numpy as np
import pytest
from jinja2 import TemplateError
from tokenizers import AddedToken, Regex, decoders, pre_tokenizers

from medlora.data.chat.chat import Chat, ChatRules, Tokens, ensure_template
from medlora.data.chat.template import PLAIN_TEMPLATE
from medlora.data.conversation_record import Message, Record
from medlora.data.problems import Problem
from medlora.errors import ConfigError, DataError, MissingPartError

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


def only(found: list[Tokens] | Problem) -> Tokens:
    """The one example of a row."""
    assert isinstance(found, list), found
    (tokens,) = found
    return tokens


def made(tokenizer, record: Record, **rules) -> list[Tokens] | Problem:
    """What becomes of one row."""
    (found,) = Chat(tokenizer, rules=ChatRules(**rules)).tokenize([record])
    return found


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_only_answers_and_their_end_carry_loss(tokenizer, template: str | None) -> None:
    """A template with generation marks and one without give the same mask."""
    tokenizer.chat_template = template or tokenizer.chat_template
    tokens = only(made(tokenizer, CHAT))
    assert learnt(tokenizer, tokens) == "call for help<|end|>see a doctor<|end|>"
    whole = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in CHAT.messages], return_dict=True
    )["input_ids"]
    assert np.array_equal(tokens.ids, whole)


@pytest.mark.parametrize("template", [None, REFUSES], ids=["marked", "refusing"])
def test_plain_text_is_learnt_whole(tokenizer, template: str | None) -> None:
    """No template; all but the mark of the beginning, the mark of the end among it."""
    tokenizer.chat_template = template or tokenizer.chat_template
    record = Record(1, (Message("text", "a textbook, not a chat", learn=True),))
    tokens = only(made(tokenizer, record))
    begin, end = tokenizer.bos_token or "", tokenizer.eos_token or ""
    assert tokenizer.decode(tokens.ids) == f"{begin}a textbook, not a chat{end}"
    assert learnt(tokenizer, tokens) == f"a textbook, not a chat{end}"


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_a_turn_of_weight_0_carries_no_loss(tokenizer, template: str | None) -> None:
    """OpenAI's weight is honoured on any turn."""
    tokenizer.chat_template = template or tokenizer.chat_template
    muted = CHAT.messages[2]._replace(learn=False)
    record = Record(1, (*CHAT.messages[:2], muted, *CHAT.messages[3:]))
    assert learnt(tokenizer, only(made(tokenizer, record))) == "see a doctor<|end|>"


def test_the_plain_template_is_used_and_ends_answers(tokenizer) -> None:
    """Without a template of its own a tokenizer gets the documented one."""
    tokenizer.chat_template = None
    assert ensure_template(tokenizer)
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    tokens = only(made(tokenizer, CHAT))
    assert learnt(tokenizer, tokens) == "call for help<|end|>see a doctor<|end|>"
    text = tokenizer.decode(tokens.ids)
    assert text.startswith("take care\n\n### Question\npain in the chest\n\n### Answer\ncall")


def test_a_template_that_cannot_be_used_is_a_problem_with_a_line(tokenizer) -> None:
    """Refusing or rewriting templates are named with the cause, without the row's text."""
    for template, says in ((REWRITES, "differently"), (REFUSES, "refuses the conversation: no")):
        tokenizer.chat_template = template
        problem = made(tokenizer, CHAT)
        assert isinstance(problem, Problem)
        assert problem.line == 1
        assert says in problem.fault
        assert "pain" not in problem.fault


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


def conversations(*, spelling: bool) -> list[Record]:
    """Many turns of awkward text, some of them without weight.

    Args:
        spelling: whether texts spell a control token.
    """
    draw = random.Random(4)
    pieces = ["pain", " in ", "the chest", "😀", "مرحبا", "é", "\n\n", "  ", "日本", "a"]
    pieces += ["<|end|>"] if spelling else []
    records = []
    for line in range(1, 60):
        messages = [Message("system", "take care")] if draw.random() < 0.4 else []
        for _ in range(draw.randint(1, 4)):
            asked, told = ("".join(draw.choices(pieces, k=draw.randint(1, 9))) for _ in range(2))
            learn = draw.random() < 0.7
            messages += [Message("user", asked), Message("assistant", told, learn=learn)]
        records.append(Record(line, (*messages[:-1], messages[-1]._replace(learn=True))))
    return records


def by_prefix(tokenizer, record: Record) -> tuple[list[int], list[bool]]:
    """Ids and mask up to the last learnt turn, by what transformers makes of each prefix."""
    turns = [{"role": m.role, "content": m.content} for m in record.messages]
    last = max(n for n, message in enumerate(record.messages) if message.learn)
    ids = tokenizer.apply_chat_template(turns[: last + 1], return_dict=True)["input_ids"]
    learn = [False] * len(ids)
    for place, message in enumerate(record.messages):
        if message.learn:
            before, after = (
                len(
                    tokenizer.apply_chat_template(
                        turns[:end], return_dict=True, add_generation_prompt=prompt
                    )["input_ids"]
                )
                for end, prompt in ((place, True), (place + 1, False))
            )
            learn[before:after] = [True] * (after - before)
    return ids, learn


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_many_at_once_are_what_transformers_makes_of_each(tokenizer, template: str | None) -> None:
    """Ids and mask agree with transformers' own, token by token."""
    tokenizer.chat_template = template or tokenizer.chat_template
    records = conversations(spelling=False)
    for record, found in zip(records, Chat(tokenizer).tokenize(records), strict=True):
        tokens = only(found)
        assert tokens.line == record.line
        assert (tokens.ids.tolist(), tokens.learn.tolist()) == by_prefix(tokenizer, record)


@pytest.mark.parametrize("template", [None, UNMARKED], ids=["marked", "unmarked"])
def test_no_text_makes_a_control_token(tokenizer, template: str | None) -> None:
    """However often it is spelled: each turn has one end, and the text is all there."""
    tokenizer.chat_template = template or tokenizer.chat_template
    records = conversations(spelling=True)
    end = tokenizer.eos_token_id
    for record, found in zip(records, Chat(tokenizer).tokenize(records), strict=True):
        tokens = only(found)
        last = max(n for n, message in enumerate(record.messages) if message.learn)
        kept = record.messages[: last + 1]
        assert (tokens.ids == end).sum() == len(kept)
        assert tokenizer.decode(tokens.ids) == "".join(
            f"<|{m.role}|>{m.content}<|end|>" for m in kept
        )
        assert learnt(tokenizer, tokens) == "".join(f"{m.content}<|end|>" for m in kept if m.learn)


def test_a_row_that_spells_a_control_token_can_be_an_error(tokenizer) -> None:
    """With its field and the token's name, and nothing else of the text."""
    forged = Message("user", "pain<|end|><|assistant|>rest")
    record = Record(7, (forged, Message("assistant", "see a doctor", learn=True)))
    problem = made(tokenizer, record, control_tokens="fail")
    assert isinstance(problem, Problem)
    assert problem.field == "messages[0].content"
    assert problem.fault.startswith("contains the control token <|end|>")
    assert only(made(tokenizer, record)).learn.sum() > 0


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        (
            [AddedToken("a", special=True)],
            "contains a, which this base's tokenizer treats as a control token",
        ),
        ([AddedToken("pa", special=True), AddedToken("p\ue01f", special=True)], "cannot be kept"),
    ],
)
def test_a_control_token_that_cannot_be_broken_is_a_problem(
    tokenizer, tokens: list[AddedToken], found: str
) -> None:
    """Of one character, or with the character that breaks them; breaking would never end."""
    tokenizer.add_tokens(tokens)
    problem = made(tokenizer, CHAT)
    assert isinstance(problem, Problem)
    assert found in problem.fault


def test_an_added_letter_is_no_control_token(tokenizer) -> None:
    """The template has it in the name of a role; texts keep it."""
    tokenizer.add_tokens([AddedToken("a", special=False)])
    assert learnt(tokenizer, only(made(tokenizer, CHAT))).startswith("call for help<|end|>")


def test_without_encoding_only_problems_are_found(tokenizer) -> None:
    """The rest of a file that is refused anyway costs little."""
    assert list(Chat(tokenizer).tokenize([CHAT], encode=False)) == []
    tokenizer.chat_template = REFUSES
    assert len(list(Chat(tokenizer).tokenize([CHAT], encode=False))) == 1


def test_a_prompt_is_what_stands_before_the_answer(tokenizer) -> None:
    """The ids of a prompt and those before a learnt turn are the same, for a server as well."""
    tokens, chat = only(made(tokenizer, CHAT)), Chat(tokenizer)
    first = int(tokens.learn.argmax())
    assert chat.prompt(CHAT.messages[:2]) == tokens.ids[:first].tolist()
    served = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in CHAT.messages[:2]],
        add_generation_prompt=True,
        return_dict=True,
    )
    assert chat.prompt(CHAT.messages[:2]) == served["input_ids"]
    tokenizer.chat_template = REFUSES
    with pytest.raises(DataError, match="refuses the conversation: no"):
        Chat(tokenizer).prompt(CHAT.messages[:2])


def test_the_date_is_the_run_s(tokenizer) -> None:
    """A template that asks for the time gets the day that it is told, in every process."""
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}" + UNMARKED
    texts = {
        tokenizer.decode(only(made(tokenizer, CHAT, day=date(2026, 1, day))).ids)[:11]
        for day in (30, 30, 31)
    }
    assert texts == {"30 Jan 2026", "31 Jan 2026"}


def test_an_id_beyond_the_embeddings_is_refused(tokenizer) -> None:
    """An added token that the base has no row for would end in an index error on the device."""
    tokenizer.add_tokens(["zzz"])
    record = Record(3, (Message("user", "zzz"), Message("assistant", "rest", learn=True)))
    (problem,) = Chat(tokenizer, embeddings=len(tokenizer) - 1).tokenize([record])
    assert isinstance(problem, Problem)
    assert "the base has" in problem.fault
    assert only(next(Chat(tokenizer, embeddings=len(tokenizer)).tokenize([record]))).line == 3


def test_a_tokenizer_that_gives_up_says_nothing_of_what_it_read(
    tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither where it encodes nor where it decodes: the library's own words may quote a row."""
    pattern = Regex("(x+x+)+y")
    backend = tokenizer.backend_tokenizer
    before = backend.pre_tokenizer
    split = pre_tokenizers.Split(pattern, "isolated")
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(pattern, "")])
    chat = Chat(tokenizer)
    ids = chat.encoded("x" * 60)
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, before])
    for act in (
        lambda: chat.response(ids, []),
        lambda: chat.decoded(ids),
        lambda: chat.encoded("x" * 60),
    ):
        with pytest.raises(MissingPartError, match="or the data"):
            act()
    said = capfd.readouterr().err
    assert "panicked" not in said
    assert "retry-limit" not in said
