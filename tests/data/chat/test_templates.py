"""What real chat templates do to a row, each kind in a small template of our own."""

import pytest

from medlora.data.chat.chat import Chat, ChatRules
from medlora.data.conversation_record import Message, Record
from medlora.data.problems import Problem
from medlora.errors import ConfigError

LOOP = "{% for m in messages %}"
HEAD = "<|{{ m.role }}|>"
TURN = f"{LOOP}{HEAD}{{{{ m.content }}}}<|end|>{{% endfor %}}"
ASK = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
THINKS = "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
# The generation prompt opens a thought, and the reasoning of turns is cut out (DeepSeek-R1).
OPENS = f"{LOOP}{HEAD}{{{{ m.content.split('</think>')[-1] }}}}<|end|>{{% endfor %}}{THINKS}"
# Finished turns open one too, and nothing closes it (Nemotron-Nano-v2).
OPEN_AGAIN = (
    f"{LOOP}{HEAD}{{% if m.role == 'assistant' %}}<think>\n{{% endif %}}{{{{ m.content }}}}<|end|>"
    "{% endfor %}" + THINKS
)
# The last turn alone gets an empty thought (Qwen3).
EMPTY = (
    f"{LOOP}{HEAD}{{% if m.role == 'assistant' and loop.last %}}<think>\n"
    "{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}<|end|>{% endfor %}"
    + ASK
)
# A thought that is closed at once, in the generation prompt alone (Gemma 4, thinking off).
CLOSED = f"{TURN}{{% if add_generation_prompt %}}<|assistant|><think></think>{{% endif %}}"
# The system's text goes into the last question, and is gone once that is answered (Mistral).
MOVES = (
    "{% if messages[0].role == 'system' %}{% set first = messages[0].content %}"
    "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{% if m.role == 'user' %}<|user|>{% if loop.last and first %}{{ first }}\n"
    "{% endif %}{{ m.content }}{% else %}<|assistant|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    + ASK
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    f"{{% endif %}}{TURN}{ASK}"
)
DROPS_SYSTEM = f"{LOOP}{{% if m.role != 'system' %}}{HEAD}{{{{ m.content }}}}<|end|>{{% endif %}}"
DROPS_SYSTEM += "{% endfor %}" + ASK
# Another end for the last turn (Phi-3, gpt-oss).
TWICE = f"{TURN}{{% if add_generation_prompt %}}<|assistant|>{{% else %}}<|pad|>{{% endif %}}"
# No end at all: the next turn's header is one (GLM), or nothing is (Vicuna).
NO_END = f"{LOOP}{HEAD}{{{{ m.content }}}}{{% endfor %}}{ASK}"
VICUNA = (
    f"{LOOP}{{{{ 'USER: ' if m.role == 'user' else 'ASSISTANT: ' }}}}{{{{ m.content }}}} "
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
NEXT_HEADER = (
    f"{LOOP}{HEAD}{{{{ m.content }}}}<|end|>{{% if m.role == 'assistant' %}}<|user|>{{% endif %}}"
    "{% endfor %}" + ASK
)
PARTS = (
    f"{LOOP}{HEAD}{{% for part in m.content %}}{{% if part.type == 'text' %}}{{{{ part.text }}}}"
    "{% endif %}{% endfor %}<|end|>{% endfor %}" + ASK
)
TOOLS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}"
    f"{LOOP}{HEAD}{{{{ m.content }}}}{{% for call in m.tool_calls or [] %}}"
    "{{ call.function | tojson }}{% endfor %}<|end|>{% endfor %}" + ASK
)
FIRST_NAMED = "{% if messages[0].role == 'system' %}{% endif %}" + TURN + ASK

ONE = (Message("user", "pain"), Message("assistant", "rest", learn=True))
TWO = (*ONE, Message("user", "worse"), Message("assistant", "call", learn=True))
SYSTEM = (Message("system", "take care"), *ONE)
THOUGHT = (ONE[0], ONE[1]._replace(content="<think>\nis it bad\n</think>\n\nrest"))
APART = (ONE[0], ONE[1]._replace(reasoning="is it bad"))


@pytest.fixture
def render(tokenizer):
    """Return a row's examples as (text, learnt text), and what was done to it."""
    tokenizer.add_tokens(["<think>", "</think>"])

    def make(template: str, messages, *, tools=(), stops: tuple[str, ...] = (), **rules):
        tokenizer.chat_template = template
        ids = tokenizer.convert_tokens_to_ids(list(stops))
        chat = Chat(tokenizer, rules=ChatRules(**rules), stops=ids)
        (found,) = chat.tokenize([Record(1, messages, tools=tools)])
        if isinstance(found, Problem):
            return found
        turns = [{"role": m.role, "content": m.content} for m in messages]
        for one in found:
            assert one.ids[-1] in chat.stops
            starts = [n for n in range(1, len(one.ids)) if one.learn[n] and not one.learn[n - 1]]
            if not rules and template not in (PARTS, TOOLS) and messages[0].role != "assistant":
                assert all(one.ids[:start].tolist() in served(tokenizer, turns) for start in starts)
        texts = [(tokenizer.decode(one.ids), tokenizer.decode(one.ids[one.learn])) for one in found]
        return texts, {name: count for name, count in chat.counts.items() if count}

    return make


def served(tokenizer, turns) -> list[list[int]]:
    """What a server sends for each answer of a conversation, as transformers makes it."""
    return [
        tokenizer.apply_chat_template(turns[:end], add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
        for end in range(1, len(turns))
    ]


def test_a_prompt_that_opens_a_thought_is_gone_on_from(render) -> None:
    """An answer without a thought closes it at once; a row's own thought is in its place."""
    texts, counts = render(OPENS, ONE)
    assert texts == [
        ("<|user|>pain<|end|><|assistant|><think>\n\n</think>\n\nrest<|end|>",
         "\n</think>\n\nrest<|end|>")
    ]  # fmt: skip
    assert counts == {"thoughts_closed_at_once": 1}
    for messages in (THOUGHT, APART):
        texts, counts = render(OPENS, messages)
        assert texts[0][1] == "is it bad\n</think>\n\nrest<|end|>"
        assert counts == {}


@pytest.mark.parametrize(
    ("answer", "learnt"),
    [
        ("rest", "\n</think>\n\nrest<|end|>"),
        ("<think>\nhm\n</think>\n\nrest", "hm\n</think>\n\nrest<|end|>"),
    ],
)
def test_no_answer_stays_inside_the_thought_that_its_prompt_opens(render, answer, learnt) -> None:
    """A template that opens one in every finished turn as well leaves the closing to the row."""
    messages = (ONE[0], ONE[1]._replace(content=answer))
    texts, _ = render(OPEN_AGAIN, messages)
    assert texts[0][1] == learnt


def test_a_last_turn_unlike_the_others_is_taught_by_itself(render) -> None:
    """One example a turn, each behind what a server sends; a single one as it is."""
    texts, counts = render(EMPTY, TWO)
    assert [learnt for _, learnt in texts] == [
        "<think>\n\n</think>\n\nrest<|end|>",
        "<think>\n\n</think>\n\ncall<|end|>",
    ]
    assert texts[1][0].startswith("<|user|>pain<|end|><|assistant|>rest<|end|><|user|>worse")
    assert counts == {"rows_taught_turn_by_turn": 1, "examples_of_these": 2}
    for messages in (APART, THOUGHT):
        texts, _ = render(EMPTY, messages)
        assert texts[0][1] == "<think>\nis it bad\n</think>\n\nrest<|end|>"


def test_reasoning_content_and_a_written_thought_are_one_thing(render) -> None:
    """Where the template knows none, it stands in the text; a key leaves it out or keeps it."""
    cut = f"{LOOP}{HEAD}{{{{ m.content.split('</think>')[-1] }}}}<|end|>{{% endfor %}}{ASK}"
    for messages in (THOUGHT, APART):
        texts, counts = render(TURN + ASK, messages)
        assert texts[0][1] == "<think>\nis it bad\n</think>\n\nrest<|end|>"
        assert counts == {}
        texts, counts = render(TURN + ASK, messages, reasoning="drop")
        assert texts[0][1] == "rest<|end|>"
        assert counts == {"thoughts_left_out": 1}
        texts, counts = render(cut, messages)
        assert texts[0][1].strip() == "rest<|end|>"
        assert counts == {"thoughts_left_out": 1}
        texts, counts = render(cut, messages, reasoning="keep")
        assert texts[0][1] == "<think>\nis it bad\n</think>\n\nrest<|end|>"
        assert counts == {}


def test_a_thought_that_the_prompt_has_closed_is_not_taught(render) -> None:
    """The answer follows the closed one, as it is served, and the row's is counted."""
    texts, counts = render(CLOSED, ONE)
    assert texts[0] == (
        "<|user|>pain<|end|><|assistant|><think></think>rest<|end|>",
        "rest<|end|>",
    )
    assert counts == {}
    assert render(CLOSED, APART)[1] == {"thoughts_left_out": 1}


def test_a_system_text_that_moves_is_where_a_server_has_it(render) -> None:
    """It is in the prompt, though the finished conversation has it elsewhere or nowhere."""
    texts, counts = render(MOVES, SYSTEM)
    assert texts[0] == ("<|user|>take care\npain<|assistant|>rest<|end|>", "rest<|end|>")
    assert counts == {"turns_with_the_served_prompt": 1}
    assert len(render(MOVES, (SYSTEM[0], *TWO))[0]) == 2


def test_a_system_text_that_is_refused_or_left_out_can_join_the_question(render) -> None:
    """Refused with what the template says, or for what it leaves out; merged where wanted."""
    refused = render(NO_SYSTEM, SYSTEM)
    assert "refuses the conversation: System role not supported" in refused.fault
    assert "data.merge_system: true" in refused.fix
    left_out = render(DROPS_SYSTEM, SYSTEM)
    assert "leaves out or changes the text of message 1 (system)" in left_out.fault
    for template in (NO_SYSTEM, DROPS_SYSTEM):
        texts, counts = render(template, SYSTEM, merge_system=True)
        assert texts[0][0].startswith("<|user|>take care\n\npain<|end|>")
        assert counts == {"system_messages_merged": 1}
    texts, counts = render(TURN + ASK, SYSTEM, merge_system=True)
    assert texts[0][0].startswith("<|system|>take care<|end|>")
    assert counts == {}


def test_what_follows_the_end_of_an_answer_is_not_learnt(render) -> None:
    """A second end token, or the header of a next turn."""
    for template in (TWICE, NEXT_HEADER):
        assert render(template, ONE)[0][0][1] == "rest<|end|>"
    assert len(render(TWICE, TWO, stops=("<|pad|>",))[0]) == 1


def test_an_answer_without_an_end_gets_one(render) -> None:
    """The header of the next turn where that is one of the base's, else the end token; counted."""
    texts, counts = render(NO_END, TWO, stops=("<|user|>",))
    assert texts == [
        ("<|user|>pain<|assistant|>rest<|user|>worse<|assistant|>call<|user|>",
         "rest<|user|>call<|user|>")
    ]  # fmt: skip
    assert counts == {"ends_added": 2}
    texts, counts = render(VICUNA, TWO)
    assert [learnt for _, learnt in texts] == [" rest<|end|>", " call<|end|>"]
    assert texts[1][0] == "USER: pain ASSISTANT: rest USER: worse ASSISTANT: call<|end|>"
    assert counts["ends_added"] == 2


def test_a_template_that_wants_lists_of_parts_gets_them(render) -> None:
    """Those of bases that see; their text is taught like any."""
    assert render(PARTS, TWO)[0][0][1] == "rest<|end|>call<|end|>"


def test_a_conversation_may_begin_with_the_assistant(render) -> None:
    """No server can be asked with nothing, so what the template writes before it is its prompt."""
    first = (Message("assistant", "hello", learn=True), *ONE)
    texts, _ = render(FIRST_NAMED, first)
    assert [learnt for _, learnt in texts] == ["hello<|end|>rest<|end|>"]
    assert texts[0][0].startswith("<|assistant|>hello<|end|>")


CALL = {"type": "function", "function": {"name": "look_up", "arguments": {"drug": "aspirin"}}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
CALLING = (
    Message("user", "pain"),
    Message("assistant", "", learn=True, tool_calls=(CALL,)),
    Message("tool", "found"),
    Message("assistant", "rest", learn=True),
)


def test_calls_of_tools_are_learnt_and_tools_are_told(render) -> None:
    """Where the template knows them; else the row is refused by the field's name."""
    texts, _ = render(TOOLS, CALLING, tools=(TOOL,))
    assert len(texts) == 1
    assert texts[0][0].startswith('[{"type": "function"')
    assert texts[0][1].startswith('{"name": "look_up", "arguments": {"drug": "aspirin"}}<|end|>')
    assert texts[0][1].endswith("rest<|end|>")
    refused = render(TURN + ASK, CALLING)
    assert refused.field == "messages[1].tool_calls"
    assert render(TURN + ASK, ONE, tools=(TOOL,)).field == "tools"


def test_arguments_reach_the_template(render) -> None:
    """`data.chat_template_kwargs` in prompts and in what is learnt."""
    template = TURN + "{% if add_generation_prompt %}<|assistant|>{{ mode }}{% endif %}"
    template = template.replace(HEAD, f"{HEAD}{{{{ mode if m.role == 'assistant' }}}}")
    texts, _ = render(template, ONE, arguments={"mode": "calm "})
    assert texts[0] == ("<|user|>pain<|end|><|assistant|>calm rest<|end|>", "rest<|end|>")


@pytest.mark.parametrize("name", ["default", "tool_use"])
@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for m in messages %}\n{{ m.content }", r":2: the chat template cannot be read"),
        ("{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3, "does not finish within"),
        ("{{ 'a' * 3000000000 }}", "asks for more than 1 GiB"),
    ],
    ids=["syntax", "endless", "huge"],
)
def test_a_broken_template_is_named_at_once(tokenizer, monkeypatch, template, says, name) -> None:
    """With its name and line; one that loops or takes memory is stopped, that of tools too."""
    monkeypatch.setattr("medlora.data.chat.template.TRIAL_CPU_S", 1)
    tokenizer.chat_template = {"default": TURN + ASK, name: template}
    with pytest.raises(ConfigError, match=says):
        Chat(tokenizer, rules=ChatRules(template_name="base/chat_template.jinja"))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("{{ 1 + 'a' }}", "TypeError"),
        ("{% include 'other.jinja' %}", "TypeError"),
        ("{% for a in range(10**12) %}{% endfor %}", "OverflowError"),
    ],
)
def test_a_template_that_fails_on_a_row_is_told_with_its_line(render, fault, error) -> None:
    """What a template raises is the template's, and no bug of ours."""
    template = TURN + ASK + f"\n{{% if messages | length > 3 %}}{fault}{{% endif %}}"
    assert render(TURN + ASK, ONE)
    found = render(template, (*TWO, *TWO)).fault
    assert found.startswith(f"the chat template fails at line 2 ({error})")


def test_a_row_that_takes_forever_ends_it_all(render, monkeypatch) -> None:
    """At the first such row: the next ones would take as long."""
    monkeypatch.setattr("medlora.data.chat.template.ROW_S", 0.3)
    loops = "{% if messages[0].content == 'pain' %}" + "{% for a in range(99999) %}" * 3
    template = loops + "{% endfor %}" * 3 + "{% endif %}" + TURN + ASK
    with pytest.raises(
        ConfigError, match=r"the chat template does not finish within 0 s, for row 1"
    ):
        render(template, TWO)


def test_several_templates_without_a_default_are_chosen_by_name(tokenizer, render) -> None:
    """Refused with the names; a key takes one of them, or a text of its own."""
    tokenizer.chat_template = {"chat": TURN + ASK, "rag": NO_END}
    with pytest.raises(ConfigError, match=r"several chat templates \(chat, rag\)"):
        Chat(tokenizer)
    assert Chat(tokenizer, rules=ChatRules(template="rag")).template.source == NO_END


def test_a_template_s_words_are_shown_only_if_no_row_wrote_them(render) -> None:
    """What raise_exception gets may quote a message."""
    template = TURN + ASK + "{% if messages|length > 2 %}{{ raise_exception(messages[0].content) }}"
    found = render(template + "{% endif %}", TWO).fault
    assert "pain" not in found
