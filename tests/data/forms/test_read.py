"""Every accepted form becomes a conversation; everything else is named by file:line, textless."""

import json
from io import BytesIO
from pathlib import Path

import pytest

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.read import read_records
from medlora.data.jsonl import read_pieces, rows_in, wrong_file
from medlora.data.problems import Problems
from medlora.errors import DataError

SECRET = "Jane Roe, MRN 4711"


def read(path: Path, content: str | bytes, form: str = "auto", **columns: str):
    """The records of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (piece,) = read_pieces(BytesIO(path.read_bytes()), 1 << 20)
    records = read_records(piece, form=form, columns=ColumnsConfig(**columns))
    problems = Problems(path)
    problems.add(records.problems)
    problems.refuse()
    return records


def test_the_three_forms_are_recognised_row_by_row(tmp_path: Path) -> None:
    """prompt/response, instruction/input/output and messages may even be mixed."""
    rows = [
        {"prompt": "a", "response": "b", "topic": "ignored"},
        {"instruction": "do", "input": "this", "output": "done"},
        {"instruction": "do", "input": "", "output": "done"},
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "u"},
                {"role": "assistant", "content": "x", "weight": 0},
                {"role": "user", "content": "v"},
                {"role": "assistant", "content": "y"},
            ]
        },
        {"prompt": "a", "response": "b", "system": "be kind"},
    ]
    records = read(tmp_path / "d", "".join(json.dumps(row) + "\n" for row in rows))
    assert records.forms == {"prompt_response": 2, "instruction": 2, "messages": 1}
    first, task, bare, chat, system = (record.messages for record in records.rows)
    assert first == (Message("user", "a"), Message("assistant", "b", learn=True))
    assert task[0].content == "do\n\nthis"
    assert bare[0].content == "do"
    assert [m.learn for m in chat] == [False, False, False, False, True]
    assert system[0] == Message("system", "be kind")


def test_columns_can_have_other_names(tmp_path: Path) -> None:
    """A mapping renames fields and says which form is meant."""
    records = read(
        tmp_path / "d",
        '{"question": "a", "answer": "b", "prompt": 3}\n',
        prompt="question",
        response="answer",
    )
    assert records.rows[0].messages[1].content == "b"


def test_lines_end_at_lf_alone_and_blank_lines_do_not_count_as_rows(tmp_path: Path) -> None:
    """U+2028, a BOM, CR LF and blank lines are no trouble; line numbers stay true."""
    content = (
        '\ufeff{"prompt": "a\u2028b", "response": "c\u0085d"}\r\n\n{"prompt": "e", "response": "f"}'
    )
    records = read(tmp_path / "d", content)
    assert [record.line for record in records.rows] == [1, 3]
    assert records.rows[0].messages[0].content == "a\u2028b"


def test_forms_of_other_projects_are_known_by_their_fields(tmp_path: Path) -> None:
    """Questions and answers, ShareGPT with its names of roles; a text where nothing else is."""
    rows = [
        {"question": "a", "answer": "b", "system": "s", "text": "c"},
        {
            "conversations": [
                {"from": "human", "value": "u"},
                {"from": "gpt", "value": "x", "weight": None},
                {"role": "user", "content": "v"},
                {"from": "assistant", "value": "y", "weight": 1},
            ],
            "system": "be kind",
        },
        {"text": "a note", "label": 3},
    ]
    records = read(tmp_path / "d", "".join(json.dumps(row) + "\n" for row in rows))
    assert records.forms == {"question_answer": 1, "sharegpt": 1, "text": 1}
    asked, chat, text = (record.messages for record in records.rows)
    assert asked == (
        Message("system", "s"),
        Message("user", "a"),
        Message("assistant", "b", learn=True),
    )
    assert [(m.role, m.content, m.learn) for m in chat] == [
        ("system", "be kind", False),
        ("user", "u", False),
        ("assistant", "x", True),
        ("user", "v", False),
        ("assistant", "y", True),
    ]
    assert text == (Message("text", "a note", learn=True),)
    assert (records.rows[2].question, records.rows[2].answer) == ("", "a note")
    with pytest.raises(DataError, match=r"d:1: field 'response': missing"):
        read(tmp_path / "d", '{"prompt": "a", "text": "b"}')


def test_columns_stated_by_their_usual_names_say_nothing(tmp_path: Path) -> None:
    """As in the config of a run that is repeated, which states every key."""
    content = '{"prompt": "a", "response": "b"}\n{"text": "c"}\n'
    stated = ColumnsConfig().model_dump()
    assert read(tmp_path / "d", content, **stated).forms == {"prompt_response": 1, "text": 1}


def test_keys_of_an_unknown_row_are_counted_and_not_told(tmp_path: Path) -> None:
    """They may be a person's name; the fields that are known are told."""
    with pytest.raises(DataError) as error:
        read(tmp_path / "d", '{"CANARYZQX": 1, "Osterhagen": "b"}')
    assert (
        "none of the known fields among the row's 2; known fields are question and answer, "
        in str(error.value)
    )
    assert "CANARY" not in str(error.value)
    assert "Osterhagen" not in str(error.value)


BAD = {
    "truncated": ('{"prompt": "' + SECRET, "d:2: not JSON: Unterminated string"),
    "no object": (f'["{SECRET}"]', "d:2: a list instead of an object"),
    "text": (f'"{SECRET}"', "d:2: text instead of an object"),
    "missing": ('{"prompt": "' + SECRET + '"}', "d:2: field 'response': missing"),
    "unknown": ('{"' + SECRET + '": 1}', "d:2: none of the known fields among the row's 1"),
    "null": ('{"prompt": "x", "response": null}', "d:2: field 'response': null instead of text"),
    "number": ('{"prompt": 4711, "response": "x"}', "d:2: field 'prompt': a number instead"),
    "bool": ('{"prompt": true, "response": "x"}', "d:2: field 'prompt': true or false instead"),
    "empty": ('{"prompt": "x", "response": ""}', "d:2: field 'response': empty text"),
    "blank": ('{"prompt": " \\n", "response": "x"}', "d:2: field 'prompt': only white space"),
    "nan": ('{"prompt": NaN, "response": "x"}', "d:2: NaN, which is not JSON"),
    "twice": ('{"prompt": "x", "prompt": "y"}', "d:2: a field that occurs twice"),
    "deep": ("[" * 100_000, "d:2: nested too deeply"),
    "huge": ('{"prompt": ' + "9" * 5000 + "}", "d:2: a number that is too long"),
    "surrogate": ('{"prompt": "\\ud800", "response": "x"}', "d:2: field 'prompt': half of a"),
    "turns": ('{"messages": []}', "d:2: field 'messages': an empty list"),
    "turn": ('{"messages": [1]}', "d:2: field 'messages[0]': a number instead of an object"),
    "role": (
        '{"messages": [{"role": "' + SECRET + '", "content": "x"}]}',
        "d:2: field 'messages[0].role': unknown role",
    ),
    "last": (
        '{"messages": [{"role": "user", "content": "x"}]}',
        "d:2: field 'messages': the last turn is not the assistant's",
    ),
    "weight": (
        '{"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}',
        "d:2: field 'messages[0].weight': neither 0 nor 1",
    ),
    "weightless": (
        '{"messages": [{"role": "assistant", "content": "x", "weight": 0}]}',
        "d:2: field 'messages': nothing to learn from",
    ),
}


@pytest.mark.parametrize(("line", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_row_is_named_without_its_text(tmp_path: Path, line: str, says: str) -> None:
    """file:line, field, what was found, how to mend it; exit 65; never the row's text."""
    good = '{"prompt": "x", "response": "y"}\n'
    with pytest.raises(DataError) as error:
        read(tmp_path / "d", good + line + "\n")
    message = str(error.value)
    assert says in message
    assert "Jane" not in message
    assert "4711" not in message
    assert error.value.exit_code == 65


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"prompt": "x"}'.encode("utf-16"), "d:1: UTF-16 text"),
        (b"\x1f\x8b\x08\x00", "d:1: a gzip archive"),
        (b'[\n{"prompt": "x"}]', "d:1: a JSON array"),
    ],
)
def test_a_file_of_the_wrong_kind_is_one_problem(tmp_path: Path, content: bytes, says: str) -> None:
    """Other encodings and other formats are recognised as such."""
    (tmp_path / "d").write_bytes(content)
    problem = wrong_file(tmp_path / "d")
    assert says in problem.text(tmp_path / "d")


@pytest.mark.parametrize("size", [1, 10, 45, 1 << 20])
def test_pieces_are_whole_lines_wherever_they_are_cut(tmp_path: Path, size: int) -> None:
    """The same rows on the same lines, blank ones between, no newline at the end."""
    lines = [b'{"prompt": "%d", "response": "x"}' % n for n in range(5)]
    (tmp_path / "d").write_bytes(lines[0] + b"\r\n\n\n" + b"\n".join(lines[1:]))
    pieces = list(read_pieces(BytesIO((tmp_path / "d").read_bytes()), size))
    assert b"".join(piece.content for piece in pieces) == (tmp_path / "d").read_bytes()
    rows = [row for piece in pieces for row in rows_in(piece)]
    assert [line for line, _ in rows] == [1, 4, 5, 6, 7]
    assert [row["prompt"] for _, row in rows] == ["0", "1", "2", "3", "4"]


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    """The first twenty and the count of all."""
    with pytest.raises(DataError) as error:
        read(tmp_path / "d", '{"prompt": "x", "response": ""}\n' * 33)
    message = str(error.value)
    assert "33 problems" in message
    assert message.count("field 'response'") == 20
    assert "... and 13 more" in message


def chat(path: Path, *messages: object, **more: object):
    """The one record of a row of messages."""
    (record,) = read(path, json.dumps({"messages": messages, **more}) + "\n").rows
    return record


ASKED = {"role": "user", "content": "a"}
FUNCTION = {"name": "look_up", "arguments": {"drug": "x"}}
CALL = {"type": "function", "function": FUNCTION}


def test_thoughts_tools_and_parts_are_kept(tmp_path: Path) -> None:
    """Nothing of a message that a template reads is lost; a table's empty cells are nothing."""
    record = chat(
        tmp_path / "d",
        {"role": "developer", "content": [{"type": "text", "text": "be "}, "kind"]},
        {**ASKED, "tool_calls": None, "weight": None, "name": "Mia"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "found", "tool_call_id": "1"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm"},
        tools=[{"type": "function", "function": {"name": "look_up"}}],
    )
    developer, asked, call, found, told = record.messages
    assert (developer.role, developer.content) == ("developer", "be kind")
    assert dict(asked.others) == {"name": "Mia"}
    assert (call.content, call.called, call.learn) == ("", ["look_up"], True)
    assert (found.role, dict(found.others)) == ("tool", {"tool_call_id": "1"})
    assert (told.reasoning, told.text) == ("hm", "hm\nb")
    assert [tool["function"]["name"] for tool in record.tools] == ["look_up"]


def test_arguments_and_tools_may_be_json_text(tmp_path: Path) -> None:
    """As OpenAI and tables write them; templates get the objects."""
    call = {"function": {"name": "look_up", "arguments": '{"drug": "x"}'}}
    told = {"role": "assistant", "content": "", "tool_calls": [call]}
    record = chat(tmp_path / "d", ASKED, told, tools='[{"name": "look_up"}]')
    assert record.messages[1].tool_calls[0]["function"]["arguments"] == {"drug": "x"}
    assert record.tools == ({"name": "look_up"},)


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        ({"content": [{"type": "image", "image": "x"}]}, "content[0]': a part of the type image"),
        ({"content": "b", "images": ["x"]}, "images': not supported"),
        (
            {"content": "b", "function_call": {}},
            "function_call': not supported; remove it; write",
        ),
        ({"content": "b", "tool_calls": {}}, None),
        ({"content": "b", "tool_calls": "x"}, "tool_calls': text instead of a list"),
        ({"content": "b", "tool_calls": [{"function": {}}]}, "tool_calls[0]': no function name"),
        (
            {"tool_calls": [{"name": "f", "arguments": "{"}]},
            "tool_calls[0].arguments': text that is",
        ),
        ({"content": "b", "reasoning_content": 3}, "reasoning_content': a number instead of text"),
    ],
)
def test_what_cannot_be_taught_is_named_by_its_place(tmp_path: Path, turn, says) -> None:
    """Never dropped in silence."""
    if says is None:
        assert chat(tmp_path / "d", ASKED, {"role": "assistant", **turn}).messages[1].called == []
        return
    with pytest.raises(DataError) as error:
        chat(tmp_path / "d", ASKED, {"role": "assistant", **turn})
    assert f"field 'messages[1].{says}" in str(error.value)


def test_a_user_neither_thinks_nor_calls(tmp_path: Path) -> None:
    """Only the assistant does, and other forms' columns called tools are none."""
    for field, value in (("reasoning_content", "x"), ("tool_calls", [CALL])):
        with pytest.raises(DataError, match="only the assistant"):
            chat(tmp_path / "d", {**ASKED, field: value}, {"role": "assistant", "content": "b"})
    (record,) = read(tmp_path / "d", '{"prompt": "a", "response": "b", "tools": "scalpel"}\n').rows
    assert record.tools == ()
