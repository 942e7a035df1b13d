"""What is known of a form of rows: one record each, which `registry` holds; and how to read one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.problems import Problem, kind

Row = dict[str, Any]
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RowForm:
    """One form of rows.

    Attributes:
        name: in `data.format`, and of the form's module.
        columns: those that a row of the form has, by our names, see `column_of`; the last is a mark
            of the form in a suite.
        read: returns a row's conversation, from the row, the names of columns and the row's line.
        answer: the column whose text, or whose last turn's, a canary is put before; None where it
            cannot be put.
        has_tools: a row may have `tools`; in other forms that may mean something else.
        precedence: a row that is of two forms is taken for the one of the higher.
        is_last_resort: taken only for rows that have no column of any other form.

    `read` raises `RowError`.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Row, ColumnsConfig, int], tuple[Message, ...]]
    answer: str | None
    has_tools: bool = False
    precedence: int = 0
    is_last_resort: bool = False


class RowError(Exception):
    """Carries a row's problem up to the reader of its file."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def column_of(columns: ColumnsConfig, name: str) -> str:
    """Return what a column is called in the file: as here, unless `data.columns` names it."""
    return str(vars(columns).get(name, name))


def missing(columns: ColumnsConfig, name: str, line: int) -> RowError:
    """Return the error of a row that lacks a column."""
    fix = "add it"
    if name in type(columns).model_fields:
        fix = f"add it, or name the column that holds it in data.columns.{name}"
    return RowError(Problem(line, "missing", fix, column_of(columns, name)))


def text_of(
    row: Row, columns: ColumnsConfig, name: str, line: int, *, optional: bool = False
) -> str:
    """Return a column's text, stripped of nothing; absent and null are the same.

    Raises:
        RowError: it is not there, or no text, or empty where it is not optional.
    """
    column = column_of(columns, name)
    value = row.get(column)
    if value is None and optional:
        return ""
    if column not in row:
        raise missing(columns, name, line)
    return checked_text(value, column, line, optional=optional)


def checked_text(value: object, column: str, line: int, *, optional: bool = False) -> str:
    """Return a value that is text, and not empty unless it is optional.

    Raises:
        RowError: it is not.
    """
    if not isinstance(value, str):
        raise RowError(Problem(line, f"{kind(value)} instead of text", "write text", column))
    if not value.strip() and not optional:
        problem = "empty text" if not value else "only white space"
        raise RowError(Problem(line, problem, "fill it or delete the row", column))
    if not value.isascii() and _HALF_CHARACTER.search(value):
        problem = "half of a surrogate pair, which is not a character"
        raise RowError(Problem(line, problem, "write the character itself", column))
    return value


def turns_of(
    row: Row, columns: ColumnsConfig, line: int, *, prompt: str, answer: str
) -> tuple[Message, ...]:
    """Return a question and an answer, which is learnt, behind the row's system message if any."""
    asked = (Message("user", prompt), Message("assistant", answer, learn=True))
    return (*system_of(row, columns, line), *asked)


def system_of(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    """Return the row's system message, if it has one."""
    text = text_of(row, columns, "system", line, optional=True)
    return (Message("system", text),) if text.strip() else ()
