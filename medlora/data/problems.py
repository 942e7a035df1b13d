"""What is wrong with a data file: every problem with its line, never with its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medlora.errors import DataError, listed

_FIX = "correct these lines; the row's text is not shown on purpose"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, which field, what was found, how to mend it."""

    line: int
    found: str
    fix: str
    field: str | None = None

    def text(self, file: Path) -> str:
        """Return `file:line: field 'x': found; fix`."""
        where = f"{file}:{self.line}" if self.line else f"{file}"
        field = f"field '{self.field}': " if self.field else ""
        return f"{where}: {field}{self.found}; {self.fix}"


def refuse(file: Path, problems: Sequence[Problem]) -> None:
    """Raise a DataError that lists a file's problems, if there are any."""
    if problems:
        ordered = sorted(problems, key=lambda problem: problem.line)
        raise DataError(
            listed([problem.text(file) for problem in ordered], what=f"{file} cannot be used"),
            fix=_FIX,
        )


def kind(value: object) -> str:
    """Name a JSON value's type in a user's words, without the value."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
