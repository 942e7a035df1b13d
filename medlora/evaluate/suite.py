"""Evaluation suites: JSON Lines files, whose fields tell what is measured.

    perplexity   {"text"}, or any form that training takes
    choices      {"question", "choices": [...], "answer": index}, optional "context"
    pairs        {"prompt", "better", "worse"}
    generation   {"prompt", "expect": refuse | escalate | answer}, optional "id", "category"

A file is of one kind, that of its first row; those of perplexity may be mixed.  Other fields are
passed over.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from medlora.config import ColumnsConfig
from medlora.data.forms.form import Row, RowError, checked_text
from medlora.data.forms.read import read_records
from medlora.data.jsonl import Piece, rows_in, wrong_file
from medlora.data.limits import too_large
from medlora.data.problems import Problem, kind
from medlora.data.records import Record
from medlora.errors import DataError, MissingPartError, listed
from medlora.evaluate.checker import Expect
from medlora.files import sha256_bytes, storage_errors

Kind = Literal["perplexity", "choices", "pairs", "generation"]
SHIPPED = Path(str(files("medlora") / "evaluate" / "suites"))
_CATEGORY = re.compile(r"[\w ./&,:-]{1,60}")
_FEWEST = 2  # choices


@dataclass(frozen=True, slots=True)
class Text:
    """Text as it stands."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with the answers to choose from; `answer` is the index of the right one."""

    line: int
    question: str
    context: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with a better and a worse response."""

    line: int
    prompt: str
    better: str
    worse: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked, and what an answer should do."""

    line: int
    id: str
    prompt: str
    expect: Expect
    category: str | None


Item = Text | Record | Choice | Pair | Prompt


@dataclass(frozen=True, slots=True)
class Suite:
    """One file's items, of one kind."""

    file: Path
    kind: Kind
    sha256: str
    rows: int  # in the file
    items: tuple[Any, ...]  # of one of the classes above

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.file.stem

    def first(self, limit: int | None) -> "Suite":
        """Return the suite with so many of its first items at most."""
        return self if limit is None else replace(self, items=self.items[:limit])


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
        suite, found = _read(path)
        suites.append(suite)
        problems += [problem.text(path) for problem in sorted(found, key=lambda p: p.line)]
    if problems:
        raise DataError(
            listed(problems, what="the suites cannot be used"),
            fix="correct these lines; the row's text is not shown on purpose",
        )
    return suites


def _find(value: str, folder: Path) -> Path:
    path = Path(value)
    if not path.suffix and path.name == value:
        path = SHIPPED / f"{value}.jsonl"
        if path.is_file():
            return path
    places = list(dict.fromkeys([Path(value), folder / value]))
    found = next((place for place in places if place.is_file()), None)
    if found:
        return found
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
    form, piece = "", Piece(1, content)
    if not wrong:
        lines = list(rows_in(piece))
        form, items, found = _items(lines, piece)
        problems += found
    if not items and not problems:
        problems = [Problem(0, "no row", "write one object a line")]
    kind_ = _KINDS[form] if form else "perplexity"
    return Suite(path, kind_, sha256_bytes(content), len(items), tuple(items)), problems


def _items(
    lines: Iterable[tuple[int, Row] | Problem], piece: Piece
) -> tuple[str, list[Any], list[Problem]]:
    """Return the form of a file's first row, and all rows that have it; Problems for the rest."""
    form, items, problems = "", [], []
    for line in lines:
        if isinstance(line, Problem):
            problems.append(line)
            continue
        number, row = line
        own = _form_of(row)
        form = form or own or ""
        if own is None:
            problems.append(Problem(number, "no kind of suite has these fields", _FIELDS))
        elif _KINDS[own] != _KINDS[form]:
            found = f"a row of the form {own} in a file of {form}"
            problems.append(Problem(number, found, "give each form a file of its own"))
        elif own != "conversation":
            try:
                items.append(_PARSERS[own](row, number))
            except RowError as error:
                problems.append(error.problem)
    if form and _KINDS[form] == "perplexity":
        records = read_records(piece, form="auto", columns=ColumnsConfig())
        known = {one.line for one in (*problems, *items)}
        problems += [problem for problem in records.problems if problem.line not in known]
        items += [record for record in records.rows if record.line not in known]
        items.sort(key=lambda item: item.line)
    return form, items, problems


_FIELDS = (
    "write question, choices and answer; prompt, better and worse; prompt and expect; text; or a "
    "form of training: prompt and response, question and answer, instruction and output, messages, "
    "conversations"
)


def _form_of(row: Row) -> str | None:
    """Return what a row is by the fields that it has, None where they say nothing."""
    return next((form for form, marks in _MARKS.items() if marks & row.keys()), None)


def _choice(row: Row, line: int) -> Choice:
    options = row.get("choices")
    if not isinstance(options, list):
        found = f"{kind(options)} instead of a list"
        raise RowError(Problem(line, found, "write a list of texts", "choices"))
    texts = tuple(checked_text(one, f"choices[{index}]", line) for index, one in enumerate(options))
    if len(texts) < _FEWEST or len(set(texts)) < len(texts):
        found = "the same choice twice" if len(texts) >= _FEWEST else f"{len(texts)} choices"
        raise RowError(Problem(line, found, "write two different ones or more", "choices"))
    answer = row.get("answer")
    if not isinstance(answer, int) or isinstance(answer, bool):
        found = f"{kind(answer)} instead of an index"
        raise RowError(Problem(line, found, "write 0 for the first choice", "answer"))
    if not 0 <= answer < len(texts):
        found = f"no choice has this index, there are {len(texts)}"
        raise RowError(Problem(line, found, "write 0 for the first choice", "answer"))
    context = row.get("context")
    return Choice(
        line,
        _text(row, "question", line),
        "" if context is None else checked_text(context, "context", line, optional=True),
        texts,
        answer,
    )


def _pair(row: Row, line: int) -> Pair:
    prompt, better, worse = (_text(row, name, line) for name in ("prompt", "better", "worse"))
    if better == worse:
        fix = "write two different responses"
        raise RowError(Problem(line, "the same text as better", fix, "worse"))
    return Pair(line, prompt, better, worse)


def _prompt(row: Row, line: int) -> Prompt:
    expect, category, own = row["expect"], row.get("category"), row.get("id", f"line {line}")
    if expect not in get_args(Expect):
        found = kind(expect) if not isinstance(expect, str) else "an unknown word"
        raise RowError(Problem(line, found, "use refuse, escalate or answer", "expect"))
    if category is not None and not (isinstance(category, str) and _CATEGORY.fullmatch(category)):
        fix = "use at most 60 letters and digits: it is printed in reports"
        raise RowError(Problem(line, "no short label", fix, "category"))
    if isinstance(own, int) and not isinstance(own, bool):
        own = str(own)
    return Prompt(line, checked_text(own, "id", line), _text(row, "prompt", line), expect, category)


def _text(row: Row, name: str, line: int) -> str:
    if name not in row:
        raise RowError(Problem(line, "missing", "add it", name))
    return checked_text(row[name], name, line)


# A row is of the first form of which it has a mark: `prompt` alone says nothing.
_MARKS: dict[str, set[str]] = {
    "choices": {"choices"},
    "pairs": {"better", "worse"},
    "generation": {"expect"},
    "conversation": {"messages", "conversations", "response", "output", "answer"},
    "text": {"text"},
}
_KINDS: dict[str, Kind] = {
    "choices": "choices",
    "pairs": "pairs",
    "generation": "generation",
    "conversation": "perplexity",
    "text": "perplexity",
}
_PARSERS: dict[str, Callable[[Row, int], Any]] = {
    "choices": _choice,
    "pairs": _pair,
    "generation": _prompt,
    "text": lambda row, line: Text(line, _text(row, "text", line)),
}
