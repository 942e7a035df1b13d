"""A piece of a file as records, each row of its own form; one that cannot be read is a Problem."""

from collections import Counter
from dataclasses import dataclass, field

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Record
from medlora.data.forms.conversation import tools_of
from medlora.data.forms.form import Row, RowError, RowForm, column_of, missing
from medlora.data.forms.registry import BY_NAME, FIRST_FORMS, FORMS
from medlora.data.jsonl import Piece, rows_in
from medlora.data.overlooked_in_rows import notices
from medlora.data.problems import Problem, kind


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
            own = BY_NAME[form] if form != "auto" else _form_of(row, columns, line)
            messages = own.read(row, columns, line)
            group = _group(row, group_by, line) if group_by else ""
            tools = tools_of(row, line) if own.has_tools else ()
        except RowError as error:
            records.problems.append(error.problem)
            continue
        record = Record(line, messages, group, tools)
        records.rows.append(record)
        records.forms[own.name] += 1
        for notice in notices(row, record.answer, known=known, grouped=bool(group_by)):
            records.notices.setdefault(notice, []).append(line)
    return records


def form_of_row(row: Row, *, form: str, columns: ColumnsConfig, line: int) -> RowForm:
    """Return the form that `read_records` takes one good row for."""
    form = implied_form(form, columns)
    return BY_NAME[form] if form != "auto" else _form_of(row, columns, line)


def implied_form(form: str, columns: ColumnsConfig) -> str:
    """Return the form that is meant, for a mapped column states it: nobody maps what they lack.

    A column that is stated by its usual name says nothing: a run that is repeated states all.
    """
    if form != "auto":
        return form
    usual = ColumnsConfig()
    named = {name for name, column in columns if column != getattr(usual, name)}
    return next((known.name for known in FORMS if named & set(known.columns)), "auto")


def _form_of(row: Row, columns: ColumnsConfig, line: int) -> RowForm:
    for form in reversed(FIRST_FORMS):
        if _is_of(form, row, columns):
            return form
    for form in FIRST_FORMS:
        lacking = _lacking(form, row, columns)
        if len(lacking) < len(form.columns):
            raise missing(columns, lacking[0], line)
    for form in FORMS:
        if _is_of(form, row, columns):
            return form
    raise RowError(_unknown(row, columns, line))


def _is_of(form: RowForm, row: Row, columns: ColumnsConfig) -> bool:
    return all(column_of(columns, name) in row for name in form.columns)


def _lacking(form: RowForm, row: Row, columns: ColumnsConfig) -> list[str]:
    return [name for name in form.columns if column_of(columns, name) not in row]


def _unknown(row: Row, columns: ColumnsConfig, line: int) -> Problem:
    """Return what to do about a row of no known form; its own keys may say whose row it is."""
    problem = f"none of the known fields among the row's {len(row)}"
    known = ", ".join(
        " and ".join(column_of(columns, name) for name in form.columns) for form in FORMS
    )
    fix = f"known fields are {known}; name others, e.g. data.columns.prompt=NAME"
    return Problem(line, problem, fix)


def _group(row: Row, column: str, line: int) -> str:
    """Return the name of a row's group; a row without one could leak unseen."""
    value = row.get(column)
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return str(value).strip()
    fix = "name the row's group, or unset data.group_by"
    if column not in row or value is None or value == "":
        raise RowError(Problem(line, "missing", fix, column))
    problem = f"{kind(value)} instead of text or a whole number"
    raise RowError(
        Problem(line, "only white space" if isinstance(value, str) else problem, fix, column)
    )
