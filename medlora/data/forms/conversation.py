"""Turns of a conversation as OpenAI and ShareGPT write them, calls of tools among them.

OpenAI's may have a `weight` of 0 or 1 on the assistant's, and its thought in `reasoning_content`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.form import Row, RowError, checked_text, column_of, missing
from medlora.data.problems import Problem, kind

# ShareGPT's names of roles.
_SPEAKERS = {"human": "user", "gpt": "assistant", "system": "system", "observation": "tool"}
_TELLABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,39}\Z")
_TOOLS = "tools"  # the column


def conversation(row: Row, columns: ColumnsConfig, name: str, line: int) -> tuple[Message, ...]:
    """Return the turns in a column that is a list of them, each OpenAI's or ShareGPT's.

    Raises:
        RowError: they are none, or end with another turn than the assistant's.
    """
    column = column_of(columns, name)
    if column not in row:
        raise missing(columns, name, line)
    turns = row[column]
    if not isinstance(turns, list) or not turns:
        problem = "an empty list" if turns == [] else f"{kind(turns)} instead of a list"
        raise RowError(Problem(line, problem, "write a list of {role, content}", column))
    messages = tuple(_message(turn, f"{column}[{i}]", line) for i, turn in enumerate(turns))
    if messages[-1].role != "assistant":
        fix = "end with the assistant's turn, which is what is trained on"
        raise RowError(Problem(line, "the last turn is not the assistant's", fix, column))
    if not any(message.learn for message in messages):
        fix = "give an assistant's turn weight 1"
        raise RowError(
            Problem(
                line,
                "nothing to learn from: the field weight is 0 in every assistant turn",
                fix,
                column,
            )
        )
    return messages


def _message(turn: object, where: str, line: int) -> Message:
    if not isinstance(turn, dict):
        problem = f"{kind(turn)} instead of an object"
        raise RowError(Problem(line, problem, "write {role, content}", where))
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
            problem = f"reasoning in a turn of the {role}"
            raise RowError(
                Problem(
                    line,
                    problem,
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
            problem = f"a part of the type {what}, which is not supported"
            raise RowError(Problem(line, problem, "write parts of the type text", inside))
    return checked_text("".join(texts), where, line, optional=optional)


def _tool_calls(turn: Row, where: str, line: int, role: str) -> tuple[Mapping[str, Any], ...]:
    """Return calls of tools, their arguments as objects."""
    value, where = turn.get("tool_calls"), f"{where}.tool_calls"
    if not value:
        return ()
    if role != "assistant":
        problem = f"tool calls by the {role}"
        raise RowError(Problem(line, problem, "only the assistant calls tools", where))
    if not isinstance(value, list):
        problem = f"{kind(value)} instead of a list"
        raise RowError(Problem(line, problem, "write a list of calls", where))
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
        problem = f"{kind(arguments)} instead of an object"
        raise RowError(Problem(line, problem, fix, f"{where}.arguments"))
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


def tools_of(row: Row, line: int) -> tuple[Mapping[str, Any], ...]:
    """Return a row's tools: a list of functions as JSON Schema, or that list as JSON text.

    Raises:
        RowError: they are something else.
    """
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
