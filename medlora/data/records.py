"""Rows of any accepted form as conversations; a row that cannot be one is a Problem.

Forms: prompt/response and question/answer; instruction/input/output (Alpaca); OpenAI `messages` (a
list of {role, content}, with an optional `weight` of 0 or 1 on the assistant's); `conversations`
(ShareGPT: a list of {from, value}); `text` (continued pre-training: all of it is learnt).
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medlora.config import ColumnsConfig
from medlora.data.folding import answer_digest, digest64, folded
from medlora.data.jsonl import Piece, rows_in
from medlora.data.problems import Problem, kind

Row = dict[str, Any]
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class Message(NamedTuple):
    """One turn; `learn` tells whether the loss counts it."""

    role: str
    content: str
    learn: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation and the line that it stands on."""

    line: int
    messages: tuple[Message, ...]
    group: str = ""  # whose rows belong on one side of a split as well

    @property
    def question(self) -> str:
        """The first user turn."""
        return next((m.content for m in self.messages if m.role == "user"), "")

    @property
    def answer(self) -> str:
        """What is learnt."""
        return "\n".join(m.content for m in self.messages if m.learn)

    def fold(self) -> "Folded":
        """Return the conversation without what makes no difference, the system's turn aside."""
        turns = [(m, folded(m.content)) for m in self.messages if m.role != "system"]
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
    form = _implied_form(form, columns)
    for item in rows_in(piece):
        if isinstance(item, Problem):
            records.problems.append(item)
            continue
        line, row = item
        try:
            name = form if form != "auto" else _form_of(row, columns, line)
            messages = _FORMS[name](row, columns, line)
            group = _group(row, group_by, line) if group_by else ""
        except RowError as error:
            records.problems.append(error.problem)
            continue
        records.rows.append(Record(line, messages, group))
        records.forms[name] += 1
    return records


def form_of_row(row: Row, *, form: str, columns: ColumnsConfig, line: int) -> str:
    """Return the form that `read_records` takes one good row for."""
    form = _implied_form(form, columns)
    return form if form != "auto" else _form_of(row, columns, line)


class RowError(Exception):
    """Carries a row's problem up to the reader of its file."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


_MARKS = {
    "question_answer": ("question", "answer"),
    "prompt_response": ("prompt", "response"),
    "instruction": ("instruction", "output"),
    "sharegpt": ("conversations",),
    "messages": ("messages",),
}
_TEXT = "text"  # a form as well, of rows that have nothing of another
_SPEAKERS = {"human": "user", "gpt": "assistant"}  # ShareGPT's names of roles
_TELLABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,39}\Z")
_MOST_NAMED = 6


def _implied_form(form: str, columns: ColumnsConfig) -> str:
    """Take a mapped column as a statement of the form: nobody maps what they do not have.

    A column that is stated by its usual name says nothing: a run that is repeated states all.
    """
    if form != "auto":
        return form
    usual = ColumnsConfig()
    named = {name for name, column in columns if column != getattr(usual, name)}
    marks = {**_MARKS, _TEXT: (_TEXT,)}
    return next((name for name, those in marks.items() if named & set(those)), "auto")


def _form_of(row: Row, columns: ColumnsConfig, line: int) -> str:
    for name, marks in reversed(_MARKS.items()):
        if all(getattr(columns, mark) in row for mark in marks):
            return name
    for marks in _MARKS.values():
        missing = [mark for mark in marks if getattr(columns, mark) not in row]
        if len(missing) < len(marks):
            raise _missing(line, getattr(columns, missing[0]), missing[0])
    if columns.text in row:
        return _TEXT
    raise RowError(_unknown(row, line))


def _unknown(row: Row, line: int) -> Problem:
    """Return what to do about a row of no known form; its fields' names if those tell nobody."""
    names = [name for name in row if _TELLABLE.match(name)]
    shown = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
    found = f"none of the known fields among the row's {len(row)}"
    first, second = names if len(names) == len(row) == 2 else ("question", "answer")  # noqa: PLR2004
    fix = f"name your columns, e.g. data.columns.prompt={first} data.columns.response={second}"
    return Problem(line, f"{found} ({shown})" if shown else found, fix)


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
        found = "half of a surrogate pair, which is no character"
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
        fix = "end with the assistant's turn, which is what is learnt"
        raise RowError(Problem(line, "the last turn is not the assistant's", fix, column))
    if not any(message.learn for message in messages):
        fix = "give an assistant's turn weight 1"
        raise RowError(Problem(line, "nothing to learn from: every weight is 0", fix, column))
    return messages


def _message(turn: object, where: str, line: int) -> Message:
    if not isinstance(turn, dict):
        found = f"{kind(turn)} instead of an object"
        raise RowError(Problem(line, found, "write {role, content}", where))
    names = ("from", "value") if "from" in turn and "role" not in turn else ("role", "content")
    role = turn.get(names[0])
    if names[0] == "from" and isinstance(role, str):
        role = _SPEAKERS.get(role, role)
    if role not in ("system", "user", "assistant"):
        found = f"{kind(role)} instead of a role" if not isinstance(role, str) else "unknown role"
        fix = "use system, user or assistant" + ("" if names[0] == "role" else ", human or gpt")
        raise RowError(Problem(line, found, fix, f"{where}.{names[0]}"))
    weight = turn.get("weight")  # a table's rows may have an empty one
    if isinstance(weight, bool) or weight not in (0, 1, None):
        raise RowError(Problem(line, "neither 0 nor 1", "use 0 or 1", f"{where}.weight"))
    content = checked_text(turn.get(names[1]), f"{where}.{names[1]}", line)
    return Message(role, content, learn=role == "assistant" and weight != 0)


_FORMS: dict[str, Callable[[Row, ColumnsConfig, int], tuple[Message, ...]]] = {
    "question_answer": _question_answer,
    "prompt_response": _prompt_response,
    "instruction": _instruction,
    "sharegpt": _sharegpt,
    "messages": _messages,
    _TEXT: _plain_text,
}
