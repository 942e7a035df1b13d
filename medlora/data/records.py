"""Rows of any accepted form as conversations; a row that cannot be one is a Problem.

Forms: prompt/response and question/answer; instruction/input/output (Alpaca); OpenAI `messages` (a
list of {role, content}, with an optional `weight` of 0 or 1 on the assistant's); `conversations`
(ShareGPT: a list of {from, value}); `text` (continued pre-training: all of it is learnt).
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from medlora.config import ColumnsConfig
from medlora.data.folding import answer_digest, digest64, folded
from medlora.data.jsonl import Piece, rows_in
from medlora.data.notices import notices
from medlora.data.problems import Problem, kind

Row = dict[str, Any]
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Message(NamedTuple):
    """One turn; `learn` tells whether the loss counts it.

    `reasoning` is a thought that the row gives in a field of its own, `tool_calls` are as OpenAI
    writes them, and `others` are fields that the template gets as they are.
    """

    role: str
    content: str
    learn: bool = False
    reasoning: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    others: Mapping[str, Any] = _NOTHING

    @property
    def called(self) -> list[str]:
        """The names of the tools that it calls."""
        return [str(call.get("function", call).get("name", "")) for call in self.tool_calls]

    @property
    def text(self) -> str:
        """What it says, its thought included."""
        return f"{self.reasoning}\n{self.content}" if self.reasoning else self.content


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation and the line that it stands on."""

    line: int
    messages: tuple[Message, ...]
    group: str = ""  # whose rows belong on one side of a split as well
    tools: tuple[Mapping[str, Any], ...] = ()  # functions that the assistant may call

    @property
    def question(self) -> str:
        """The first user turn."""
        return next((m.content for m in self.messages if m.role == "user"), "")

    @property
    def answer(self) -> str:
        """What is learnt."""
        return "\n".join(m.text for m in self.messages if m.learn)

    def fold(self) -> "Folded":
        """Return the conversation without what makes no difference, the system's turn aside."""
        turns = [(m, folded(m.text)) for m in self.messages if m.role != "system"]
        return Folded(
            next((text for m, text in turns if m.role == "user"), ""),
            " ".join(text for m, text in turns if m.learn),
            " ".join(text for _, text in turns),
            self.group,
        )


class Folded(NamedTuple):
    """A conversation's first question, what is learnt of it, and all its turns, folded."""

    question: str
    answer: str
    text: str
    group: str

    @property
    def keys(self) -> tuple[int, int, int]:
        """Question, answer and group in 64 bits each, 0 for none.

        Rows that share one of them belong on one side of a split.
        """
        return (
            digest64(self.question or self.text),
            answer_digest(self.answer),
            digest64(self.group) if self.group else 0,
        )


@dataclass(slots=True)
class Records:
    """The conversations of some lines, how many rows had which form, and what was no row."""

    rows: list[Record] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notices: dict[str, list[int]] = field(default_factory=dict)  # the lines of each


def read_records(
    piece: Piece, *, form: str, columns: ColumnsConfig, group_by: str | None = None
) -> Records:
    """Return the conversations in a piece of a JSON Lines file, in its order.

    Args:
        piece: some lines.
        form: `auto`, or the one form that every row must have.
        columns: our field -> the file's name for it.
        group_by: the field that names a row's group, if rows have one.
    """
    records = Records()
    form = implied_form(form, columns)
    known = {group_by, *dict(columns).values()}
    for item in rows_in(piece):
        if isinstance(item, Problem):
            records.problems.append(item)
            continue
        line, row = item
        try:
            name = form if form != "auto" else _form_of(row, columns, line)
            messages = _FORMS[name](row, columns, line)
            group = _group(row, group_by, line) if group_by else ""
            tools = _tools(row, line) if name in _WITH_TOOLS else ()
        except RowError as error:
            records.problems.append(error.problem)
            continue
        record = Record(line, messages, group, tools)
        records.rows.append(record)
        records.forms[name] += 1
        for notice in notices(row, record.answer, known=known, grouped=bool(group_by)):
            records.notices.setdefault(notice, []).append(line)
    return records


def form_of_row(row: Row, *, form: str, columns: ColumnsConfig, line: int) -> str:
    """Return the form that `read_records` takes one good row for."""
    form = implied_form(form, columns)
    return form if form != "auto" else _form_of(row, columns, line)


class RowError(Exception):
    """Carries a row's problem up to the reader of its file."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


MARKS = {
    "question_answer": ("question", "answer"),
    "prompt_response": ("prompt", "response"),
    "instruction": ("instruction", "output"),
    "sharegpt": ("conversations",),
    "messages": ("messages",),
}
TEXT = "text"  # a form as well, of rows that have nothing of another
# ShareGPT's names of roles.
_SPEAKERS = {"human": "user", "gpt": "assistant", "system": "system", "observation": "tool"}
_TELLABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,39}\Z")


def implied_form(form: str, columns: ColumnsConfig) -> str:
    """Return the form that is meant, for a mapped column states it: nobody maps what they lack.

    A column that is stated by its usual name says nothing: a run that is repeated states all.
    """
    if form != "auto":
        return form
    usual = ColumnsConfig()
    named = {name for name, column in columns if column != getattr(usual, name)}
    marks = {**MARKS, TEXT: (TEXT,)}
    return next((name for name, those in marks.items() if named & set(those)), "auto")


def _form_of(row: Row, columns: ColumnsConfig, line: int) -> str:
    for name, marks in reversed(MARKS.items()):
        if all(getattr(columns, mark) in row for mark in marks):
            return name
    for marks in MARKS.values():
        missing = [mark for mark in marks if getattr(columns, mark) not in row]
        if len(missing) < len(marks):
            raise _missing(line, getattr(columns, missing[0]), missing[0])
    if columns.text in row:
        return TEXT
    raise RowError(_unknown(row, columns, line))


def _unknown(row: Row, columns: ColumnsConfig, line: int) -> Problem:
    """Return what to do about a row of no known form; its own keys may say whose row it is."""
    found = f"none of the known fields among the row's {len(row)}"
    pairs = [" and ".join(getattr(columns, mark) for mark in marks) for marks in MARKS.values()]
    known = ", ".join([*pairs, columns.text])
    fix = f"known fields are {known}; name others, e.g. data.columns.prompt=NAME"
    return Problem(line, found, fix)


def _missing(line: int, column: str, mark: str) -> RowError:
    fix = f"add it, or name the column that holds it in data.columns.{mark}"
    return RowError(Problem(line, "missing", fix, column))


def _text(row: Row, column: str, line: int, *, mark: str, optional: bool = False) -> str:
    """Return a text field, stripped of nothing; absent and null are the same."""
    value = row.get(column)
    if value is None and optional:
        return ""
    if column not in row:
        raise _missing(line, column, mark)
    return checked_text(value, column, line, optional=optional)


def checked_text(value: object, column: str, line: int, *, optional: bool = False) -> str:
    """Return a value that is text, and not empty unless it is optional.

    Raises:
        RowError: it is not.
    """
    if not isinstance(value, str):
        raise RowError(Problem(line, f"{kind(value)} instead of text", "write text", column))
    if not value.strip() and not optional:
        found = "empty text" if not value else "only white space"
        raise RowError(Problem(line, found, "fill it or delete the row", column))
    if not value.isascii() and _HALF_CHARACTER.search(value):
        found = "half of a surrogate pair, which is not a character"
        raise RowError(Problem(line, found, "write the character itself", column))
    return value


def _question_answer(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    question = _text(row, columns.question, line, mark="question")
    answer = _text(row, columns.answer, line, mark="answer")
    return (*_system(row, columns, line), *_turn(question, answer))


def _plain_text(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    return (Message("text", _text(row, columns.text, line, mark="text"), learn=True),)


def _prompt_response(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    prompt = _text(row, columns.prompt, line, mark="prompt")
    response = _text(row, columns.response, line, mark="response")
    return (*_system(row, columns, line), *_turn(prompt, response))


def _instruction(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    task = _text(row, columns.instruction, line, mark="instruction")
    context = _text(row, columns.input, line, mark="input", optional=True)
    output = _text(row, columns.output, line, mark="output")
    prompt = f"{task}\n\n{context}" if context.strip() else task
    return (*_system(row, columns, line), *_turn(prompt, output))


def _group(row: Row, column: str, line: int) -> str:
    """Return the name of a row's group; a row without one could leak unseen."""
    value = row.get(column)
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return str(value).strip()
    fix = "name the row's group, or unset data.group_by"
    if column not in row or value is None or value == "":
        raise RowError(Problem(line, "missing", fix, column))
    found = f"{kind(value)} instead of text or a whole number"
    raise RowError(
        Problem(line, "only white space" if isinstance(value, str) else found, fix, column)
    )


def _turn(prompt: str, answer: str) -> tuple[Message, Message]:
    return Message("user", prompt), Message("assistant", answer, learn=True)


def _system(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    text = _text(row, columns.system, line, mark="system", optional=True)
    return (Message("system", text),) if text.strip() else ()


def _messages(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    return _conversation(row, columns.messages, line, mark="messages")


def _sharegpt(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    turns = _conversation(row, columns.conversations, line, mark="conversations")
    return turns if turns[0].role == "system" else (*_system(row, columns, line), *turns)


def _conversation(row: Row, column: str, line: int, *, mark: str) -> tuple[Message, ...]:
    if column not in row:
        raise _missing(line, column, mark)
    turns = row[column]
    if not isinstance(turns, list) or not turns:
        found = "an empty list" if turns == [] else f"{kind(turns)} instead of a list"
        raise RowError(Problem(line, found, "write a list of {role, content}", column))
    messages = tuple(_message(turn, f"{column}[{i}]", line) for i, turn in enumerate(turns))
    if messages[-1].role != "assistant":
        fix = "end with the assistant's turn, which is what is trained on"
        raise RowError(Problem(line, "the last turn is not the assistant's", fix, column))
    if not any(message.learn for message in messages):
        fix = "give an assistant's turn weight 1"
        raise RowError(Problem(line, "nothing to learn from: every weight is 0", fix, column))
    return messages


def _message(turn: object, where: str, line: int) -> Message:
    if not isinstance(turn, dict):
        found = f"{kind(turn)} instead of an object"
        raise RowError(Problem(line, found, "write {role, content}", where))
    turn = {name: value for name, value in turn.items() if value is not None}  # a table's empty
    names = ("from", "value") if "from" in turn and "role" not in turn else ("role", "content")
    role = _role(turn.get(names[0]), f"{where}.{names[0]}", line, sharegpt=names[0] == "from")
    for name in sorted(_UNSUPPORTED & turn.keys()):
        fix = f"remove it; {_UNSUPPORTED_FIX.get(name, 'only text can be trained on')}"
        raise RowError(Problem(line, "not supported", fix, f"{where}.{name}"))
    weight = turn.get("weight")
    if isinstance(weight, bool) or weight not in (0, 1, None):
        raise RowError(Problem(line, "neither 0 nor 1", "use 0 or 1", f"{where}.weight"))
    reasoning = turn.get("reasoning_content")
    if reasoning is not None:
        if role != "assistant":
            found = f"reasoning in a turn of the {role}"
            raise RowError(
                Problem(
                    line,
                    found,
                    "only the assistant's turns have reasoning",
                    f"{where}.reasoning_content",
                )
            )
        field = f"{where}.reasoning_content"
        reasoning = checked_text(reasoning, field, line, optional=True)
    calls = _tool_calls(turn, where, line, role)
    content = _content(turn, names[1], where, line, optional=bool(calls))
    others = {name: value for name, value in turn.items() if name not in _READ}
    learn = role == "assistant" and weight != 0
    return Message(role, content, learn, reasoning or None, calls, others)


_ROLES = ("system", "developer", "user", "assistant", "tool")
_READ = {"role", "content", "from", "value", "weight", "reasoning_content", "tool_calls"}
_UNSUPPORTED = frozenset(
    ("function_call", "audio", "images", "image", "videos", "video", "files", "refusal")
)
_UNSUPPORTED_FIX = {
    "function_call": "write tool_calls: [{type: function, function: {name, arguments}}]",
    "refusal": "write a refusal as content",
}


def _role(value: object, where: str, line: int, *, sharegpt: bool) -> str:
    if not isinstance(value, str):
        fix = f"use {', '.join(_ROLES[:-1])} or {_ROLES[-1]}"
        raise RowError(Problem(line, f"{kind(value)} instead of a role", fix, where))
    role = _SPEAKERS.get(value, value) if sharegpt else value
    if role not in _ROLES:
        named = " or ".join(_SPEAKERS) if sharegpt else "system, user, assistant or tool"
        raise RowError(Problem(line, "unknown role", f"use {named}", where))
    return role


def _content(turn: Row, name: str, where: str, line: int, *, optional: bool) -> str:
    """Return a message's text; a list of parts of text is the text of all of them."""
    value, where = turn.get(name), f"{where}.{name}"
    if value is None and optional:
        return ""
    if not isinstance(value, list):
        return checked_text(value, where, line, optional=optional)
    texts = []
    for place, part in enumerate(value):
        inside = f"{where}[{place}]"
        if isinstance(part, str):
            texts.append(checked_text(part, inside, line))
        elif isinstance(part, dict) and part.get("type", "text") == "text":
            texts.append(checked_text(part.get("text"), f"{inside}.text", line, optional=True))
        else:
            named = part.get("type") if isinstance(part, dict) else None
            what = named if isinstance(named, str) and _TELLABLE.match(named) else kind(part)
            found = f"a part of the type {what}, which is not supported"
            raise RowError(Problem(line, found, "write parts of the type text", inside))
    return checked_text("".join(texts), where, line, optional=optional)


def _tool_calls(turn: Row, where: str, line: int, role: str) -> tuple[Mapping[str, Any], ...]:
    """Return calls of tools, their arguments as objects."""
    value, where = turn.get("tool_calls"), f"{where}.tool_calls"
    if not value:
        return ()
    if role != "assistant":
        found = f"tool calls by the {role}"
        raise RowError(Problem(line, found, "only the assistant calls tools", where))
    if not isinstance(value, list):
        found = f"{kind(value)} instead of a list"
        raise RowError(Problem(line, found, "write a list of calls", where))
    return tuple(_tool_call(call, f"{where}[{place}]", line) for place, call in enumerate(value))


def _tool_call(call: object, where: str, line: int) -> Mapping[str, Any]:
    fix = "write {type: function, function: {name, arguments}}"
    if not isinstance(call, dict):
        raise RowError(Problem(line, f"{kind(call)} instead of an object", fix, where))
    bare = "function" not in call
    function = call if bare else call["function"]
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowError(Problem(line, "no function name", fix, where))
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):  # OpenAI writes JSON in a string; templates want the object
        arguments = _object(arguments, f"{where}.arguments", line)
    if not isinstance(arguments, dict):
        found = f"{kind(arguments)} instead of an object"
        raise RowError(Problem(line, found, fix, f"{where}.arguments"))
    function = {**function, "arguments": arguments}
    if bare:
        return {"type": "function", "function": function}
    return {**call, "function": function}


def _object(text: str, where: str, line: int) -> Any:  # noqa: ANN401  (any JSON value)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        fix = "write a JSON object, or the object itself"
        raise RowError(Problem(line, "text that is not JSON", fix, where)) from None


def _tools(row: Row, line: int) -> tuple[Mapping[str, Any], ...]:
    """Return a row's tools: a list of functions as JSON Schema, or that list as JSON text."""
    value, fix = row.get(_TOOLS), "write a list of {type: function, function: {name, parameters}}"
    if isinstance(value, str) and value.strip():
        value = _object(value, _TOOLS, line)
    if not value:
        return ()
    if not isinstance(value, list):
        raise RowError(Problem(line, f"{kind(value)} instead of a list", fix, _TOOLS))
    for place, tool in enumerate(value):
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not (isinstance(function, dict) and isinstance(function.get("name"), str)):
            raise RowError(Problem(line, "no function name", fix, f"{_TOOLS}[{place}]"))
    return tuple(value)


_TOOLS = "tools"  # the column; of these forms alone, for others may mean something else by it
_WITH_TOOLS = ("messages", "sharegpt")


_FORMS: dict[str, Callable[[Row, ColumnsConfig, int], tuple[Message, ...]]] = {
    "question_answer": _question_answer,
    "prompt_response": _prompt_response,
    "instruction": _instruction,
    "sharegpt": _sharegpt,
    "messages": _messages,
    TEXT: _plain_text,
}
