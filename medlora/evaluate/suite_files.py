"""Suites from JSON Lines files, whose fields tell what is measured; see `kinds`.

A file is of one kind, that of its first row; other fields are passed over.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from medlora.data.forms.form import Row
from medlora.data.jsonl import Piece, rows_in, wrong_file
from medlora.data.problems import Problem
from medlora.data.size_limits import too_large
from medlora.errors import DataError, MissingPartError, listed
from medlora.evaluate.kinds.kind import SuiteKind
from medlora.evaluate.kinds.perplexity import PERPLEXITY
from medlora.evaluate.kinds.registry import KINDS
from medlora.evaluate.suite import Suite
from medlora.files import sha256_bytes, storage_errors

SHIPPED = Path(str(files("medlora") / "evaluate" / "suites"))


def shipped_names() -> list[str]:
    """Return the names of the suites that come with MedLoRA."""
    return sorted(path.stem for path in SHIPPED.glob("*.jsonl")) if SHIPPED.is_dir() else []


def read_suite(value: str | Path) -> Suite:
    """Return one suite, see `read_suites`."""
    return read_suites([value])[0]


def read_suites(values: Sequence[str | Path], *, folder: Path = Path()) -> list[Suite]:
    """Return suites by their shipped names or paths, in order.

    Args:
        values: a name without a folder or an ending means a shipped one.
        folder: where a relative path may also be, besides the working directory.

    Raises:
        MissingPartError: there is no such suite.
        DataError: rows cannot be used, all of all files in one message; or two suites share a
            name.
        StorageError: a file cannot be read.
    """
    paths = [_find(str(value), folder) for value in values]
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"two suites are called {twice[0]}", fix="rename a file, or give each suite once"
        )
    suites, problems = [], []
    for path in paths:
        suite, wrong = _read(path)
        suites.append(suite)
        problems += [problem.text(path) for problem in sorted(wrong, key=lambda p: p.line)]
    if problems:
        raise DataError(
            listed(problems, what="the suites cannot be used"),
            fix="correct these lines; rows' text is withheld, as it may be confidential",
        )
    return suites


def _find(value: str, folder: Path) -> Path:
    path = Path(value)
    if not path.suffix and path.name == value:
        path = SHIPPED / f"{value}.jsonl"
        if path.is_file():
            return path
    places = list(dict.fromkeys([Path(value), folder / value]))
    file = next((place for place in places if place.is_file()), None)
    if file:
        return file
    names = ", ".join(shipped_names()) or "none"
    raise MissingPartError(
        f"suite {value}: no file at {' or '.join(map(str, places))}",
        fix=f"name a JSON Lines file, or one of those that come with MedLoRA: {names}",
    )


def _read(path: Path) -> tuple[Suite, list[Problem]]:
    with storage_errors(path):
        wrong = too_large(path) or wrong_file(path)
        content = b"" if wrong else path.read_bytes()
    items: list[Any] = []
    problems: list[Problem] = [wrong] if wrong else []
    kind, piece = PERPLEXITY, Piece(1, content)
    if not wrong:
        kind, items, others = _items(piece)
        problems += others
    if not items and not problems:
        problems = [Problem(0, "no row", "write one object a line")]
    return Suite(path, kind.name, sha256_bytes(content), len(items), tuple(items)), problems


def _items(piece: Piece) -> tuple[SuiteKind, list[Any], list[Problem]]:
    """Return the kind of a file's first row, and all rows that are of it; Problems for the rest."""
    first: tuple[SuiteKind, str] | None = None
    rows: list[tuple[int, Row]] = []
    problems: list[Problem] = []
    for line in rows_in(piece):
        if isinstance(line, Problem):
            problems.append(line)
            continue
        number, row = line
        own = _form_of(row)
        first = first or own
        if own is None or first is None:
            problems.append(Problem(number, "these fields match no kind of suite", _FIELDS))
        elif own[0] is not first[0]:
            problem = f"a row of the form {own[1]} in a file of {first[1]}"
            problems.append(
                Problem(number, problem, "put rows of different forms in separate files")
            )
        else:
            rows.append((number, row))
    if first is None:
        return PERPLEXITY, [], problems
    items, others = first[0].read(rows, piece)
    return first[0], items, [*problems, *others]


_FIELDS = f"write {'; '.join(kind.fields for kind in KINDS)}"


def _form_of(row: Row) -> tuple[SuiteKind, str] | None:
    """Return a row's kind and form by the fields that it has, None where they say nothing."""
    forms = ((kind, form, marks) for kind in KINDS for form, marks in kind.forms.items())
    return next(((kind, form) for kind, form, marks in forms if marks & row.keys()), None)
