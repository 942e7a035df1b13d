"""What is wrong with a data file: every problem with its line, never with its text."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from medlora.errors import MOST_LISTED, DataError, listed

_FIX = "correct these lines; rows' text is withheld, as it may be confidential"


class Places(Protocol):
    """A file, or several, that can say where a row stands."""

    def place(self, number: int) -> str:
        """Return what leads a person there."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, which field, what the fault is, how to mend it."""

    line: int
    fault: str
    fix: str
    field: str | None = None

    def text(self, file: Places | Path) -> str:
        """Return `file:line: field 'x': fault; fix`.

        Args:
            file: what the row stands in; of a plain path, on a line.
        """
        if isinstance(file, Path):
            where = f"{file}:{self.line}" if self.line else str(file)
        else:
            where = file.place(self.line)
        field = f"field '{self.field}': " if self.field else ""
        return f"{where}: {field}{self.fault}; {self.fix}"


class StopReadingError(Exception):
    """Carries the problem behind which a file cannot be read any further.

    Args:
        problem: with its line in the file.
        of_row: it has the number of a row instead, as the file's format counts rows.
    """

    def __init__(self, problem: Problem, *, of_row: bool = False) -> None:
        super().__init__()
        self.problem, self.of_row = problem, of_row


@dataclass(slots=True)
class Problems:
    """A file's problems: the first by line, which are shown, and how many there are."""

    file: Places
    count: int = 0
    first: list[Problem] = field(default_factory=list)

    def add(self, problems: Iterable[Problem]) -> None:
        """Take some more; however many there are, memory stays small."""
        for problem in problems:
            self.count += 1
            self.first.append(problem)
            if len(self.first) > 2 * MOST_LISTED:
                self._forget_late_ones()

    def refuse(self) -> None:
        """Raise a DataError that lists the problems, if there are any."""
        if self.count:
            self._forget_late_ones()
            if self.count > MOST_LISTED and _say_the_same(self.first):
                del self.first[1:]
            shown = [problem.text(self.file) for problem in self.first]
            what = f"{self.file} cannot be used"
            raise DataError(listed(shown, what=what, count=self.count), fix=_FIX)

    def _forget_late_ones(self) -> None:
        self.first.sort(key=lambda problem: problem.line)
        del self.first[MOST_LISTED:]


def _say_the_same(problems: list[Problem]) -> bool:
    """Tell whether all are about whole rows and say one thing, as of a table's columns."""
    first = replace(problems[0], line=0)
    return first.field is None and all(replace(problem, line=0) == first for problem in problems)


def kind(value: object) -> str:
    """Name a JSON value's type in a user's words, without the value."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
