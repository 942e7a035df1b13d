"""Whether a table has the columns of a form; if not, the option that names those it has."""

import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from medlora.config import ColumnsConfig
from medlora.data.problems import Problem
from medlora.data.records import MARKS, TEXT, implied_form

# A name that may be told: one of a column, and not a sentence or a number of a table whose first
# line is a row.
_NAME = re.compile(r"(?!(?:.*\d){3})[^\W\d][\w.\-]{0,39}(?P<more>(?: [\w.\-]{1,20}){0,2})")
_WORDS = {
    "asked": ("question", "prompt", "query", "instruction", "input", "user", "patient"),
    "answered": ("answer", "response", "reply", "output", "completion", "assistant", "doctor"),
}
_ASKED = ("prompt", "question", "instruction")
_PLACEHOLDER = "COLUMN"
_MOST = 20


def wrong_columns(
    names: Sequence[str], line: int, *, form: str, columns: ColumnsConfig, certain: bool = True
) -> Problem | None:
    """Return what is wrong with a table's columns, None where they are of a form.

    Args:
        names: of the columns that have one.
        line: where they stand.
        form: `auto`, or the one form that every row must have.
        columns: our field -> the file's name for it.
        certain: these are names, and not a row, or two lines that were joined; else none is told.
    """
    form = implied_form(form, columns)
    marks = {**MARKS, TEXT: (TEXT,)}
    forms = marks if form == "auto" else {form: marks[form]}
    missing = [
        [mark for mark in those if getattr(columns, mark) not in names] for those in forms.values()
    ]
    partly = [
        those
        for those, all_ in zip(missing, forms.values(), strict=True)
        if 0 < len(those) < len(all_)
    ]
    if not all(missing[: len(MARKS)]) or (not partly and not all(missing)):
        return None
    wanted = (
        partly[0] if partly else list(forms[form]) if form != "auto" else ["prompt", "response"]
    )
    known = set(columns.model_dump().values())
    others = [name for name in names if name not in known]
    lacks = ", ".join(f"'{getattr(columns, mark)}'" for mark in wanted)
    found = f"no column {lacks}" if partly or form != "auto" else "no column with a known name"
    tellable = [name if certain and _is_name(name) else "" for name in names]
    options = _options(wanted, [name for name in others if name in tellable])
    fix = "name them: " + " ".join(f"--set {shlex.quote(one)}" for one in options)
    if not any(tellable):
        fix = (
            "if the first line is a row, add one before it that names the columns: question,answer"
        )
    return Problem(line, f"{found}; there are {_listed(tellable)}", fix)


def _is_name(text: str) -> bool:
    """Tell whether a text is a column's name: of several words, one that columns are called by."""
    found = _NAME.fullmatch(text)
    known = (word for words in _WORDS.values() for word in words)
    return found is not None and (not found["more"] or any(one in text.lower() for one in known))


def _options(wanted: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Yield an option for each mark that is wanted: names that are alike, in their order else."""
    left = list(others)
    guessed: dict[str, str] = {}
    for mark in wanted:
        found = _alike(mark, left)
        if found:
            guessed[mark] = found
            left.remove(found)
    rest = [mark for mark in wanted if mark not in guessed]
    guessed |= dict(zip(rest, left, strict=True)) if len(rest) == len(left) else {}
    for mark in wanted:
        yield f"data.columns.{mark}={guessed.get(mark, _PLACEHOLDER)}"


def _alike(mark: str, names: Sequence[str]) -> str | None:
    words = _WORDS["asked" if mark in _ASKED else "answered"]
    spoken = [name for name in names if any(word in name.lower() for word in words)]
    if len(spoken) == 1:
        return spoken[0]
    small = {name.lower(): name for name in names}
    close = get_close_matches(mark, small, n=1)
    return small[close[0]] if close else None


def _listed(names: Sequence[str]) -> str:
    """Return the columns' names; an empty one, which may be a row's text, by its number."""
    shown = [
        f"'{name}'" if name else f"column {number}"
        for number, name in enumerate(names[:_MOST], start=1)
    ]
    rest = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{', '.join(shown)}{rest}"
