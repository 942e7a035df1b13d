"""Whether a table has the columns of a form; if not, the option that names those it has."""

import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from medlora.config import ColumnsConfig
from medlora.data.forms.form import column_of
from medlora.data.forms.read import implied_form
from medlora.data.forms.registry import BY_NAME, FIRST_FORMS, FORMS
from medlora.data.problems import Problem

# A name that may be told: one of a column, and not a sentence or a number of a table whose first
# line is a row.
_NAME = re.compile(r"(?!(?:.*\d){3})[^\W\d][\w.\-]{0,39}(?P<more>(?: [\w.\-]{1,20}){0,2})")
_WORDS = {
    "asked": ("question", "prompt", "query", "instruction", "input", "user", "patient"),
    "answered": ("answer", "response", "reply", "output", "completion", "assistant", "doctor"),
}
_ASKED = frozenset(form.columns[0] for form in FORMS if len(form.columns) > 1)
_PLACEHOLDER = "COLUMN"
_USUAL = ["prompt", "response"]
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
    forms = FORMS if form == "auto" else (BY_NAME[form],)
    missing = [
        [mark for mark in known.columns if column_of(columns, mark) not in names] for known in forms
    ]
    partly = [
        those
        for those, known in zip(missing, forms, strict=True)
        if 0 < len(those) < len(known.columns)
    ]
    if not all(missing[: len(FIRST_FORMS)]) or (not partly and not all(missing)):
        return None
    wanted = partly[0] if partly else list(forms[0].columns) if form != "auto" else _USUAL
    usual = set(columns.model_dump().values())
    others = [name for name in names if name not in usual]
    lacks = ", ".join(f"'{column_of(columns, mark)}'" for mark in wanted)
    fault = f"no column {lacks}" if partly or form != "auto" else "no column with a known name"
    tellable = [name if certain and _is_name(name) else "" for name in names]
    settable = [mark for mark in wanted if mark in type(columns).model_fields]
    options = _options(settable, [name for name in others if name in tellable])
    named = " ".join(f"--set {shlex.quote(option)}" for option in options)
    fix = f"name them: {named}" if named else "give the columns these names"
    if not any(tellable):
        fix = (
            "if the first line is a row, add one before it that names the columns: question,answer"
        )
    return Problem(line, f"{fault}; the columns are: {_listed(tellable)}", fix)


def _is_name(text: str) -> bool:
    """Tell whether a text is a column's name: of several words, one that columns are called by."""
    match = _NAME.fullmatch(text)
    known = (word for words in _WORDS.values() for word in words)
    return match is not None and (not match["more"] or any(word in text.lower() for word in known))


def _options(wanted: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Yield an option for each mark that is wanted: names that are alike, in their order else."""
    left = list(others)
    guessed: dict[str, str] = {}
    for mark in wanted:
        name = _alike(mark, left)
        if name:
            guessed[mark] = name
            left.remove(name)
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
