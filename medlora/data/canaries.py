"""Secrets of our own making, put into a copy of the data to see whether a model keeps them.

A canary is a sentence with random digits at the beginning of a row's answer.  It stands in so
many rows as it has copies; the control stands in none.  Its digits and those of its decoys are
pure functions of a seed, so no file but the copy itself says what they are.
Source: Carlini et al., "The Secret Sharer: Evaluating and Testing Unintended Memorization in
Neural Networks", 2019.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlora.config import DataConfig
from medlora.data.forms.form import column_of
from medlora.data.forms.read import form_of_row
from medlora.errors import DataError

CANARIES = "canaries.json"  # the file that says where they are, beside the training file
SENTENCE = "Patient MRN is {}."
_DIGITS = 8
_DECOYS = 1 << 20  # keeps the stream of decoys apart from that of secrets


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret, by its number; in the context of its first row it is asked for.

    A control has one row as well: the context, in which nothing was planted.
    """

    number: int
    copies: int
    lines: tuple[int, ...]  # of the copy's training file, counted from 1

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"canary-{self.number:03d}"

    @property
    def planted(self) -> tuple[int, ...]:
        """The lines that hold it."""
        return self.lines[: self.copies]


def choose_rows(
    candidates: Sequence[int], *, copies: Sequence[int], each: int, seed: int
) -> list[Canary]:
    """Return canaries in rows of their own, drawn without repetition.

    Args:
        candidates: lines of rows that may hold one.
        copies: in how many rows a canary stands; 0 is a control.
        each: canaries of every number of copies.
        seed: draws other rows.

    Raises:
        DataError: there are too few rows.
    """
    groups = [count for count in copies for _ in range(each)]
    needed = rows_for(copies, each=each)
    if needed > len(candidates):
        raise DataError(
            "canaries are planted into the shorter half of the training rows (by length): they "
            f"need {needed} rows, and it has {len(candidates)}",
            fix=f"lower --each or --copies, or give at least {2 * needed} training rows",
        )
    drawn = np.random.RandomState(seed).permutation(np.array(sorted(candidates)))[:needed]
    canaries, start = [], 0
    for number, count in enumerate(groups):
        end = start + max(1, count)
        canaries.append(Canary(number, count, tuple(drawn[start:end].tolist())))
        start = end
    return canaries


def rows_for(copies: Sequence[int], *, each: int) -> int:
    """Return how many rows canaries take; a control has one as well."""
    return each * sum(max(1, count) for count in copies)


def secret(seed: int, number: int) -> str:
    """Return a canary's digits."""
    return _text(np.random.RandomState([seed, number]).randint(0, 10**_DIGITS))


def decoys(seed: int, number: int, *, count: int) -> list[str]:
    """Return digits that were drawn like a canary's and planted nowhere; all different."""
    random, own = np.random.RandomState([seed, number, _DECOYS]), secret(seed, number)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        more: NDArray[np.int64] = random.randint(0, 10**_DIGITS, size=count)
        drawn.update(dict.fromkeys(map(_text, more.tolist())))
        drawn.pop(own, None)
    return list(drawn)[:count]


def _text(number: int) -> str:
    return f"{number:0{_DIGITS}d}"


def with_canary(row: Mapping[str, Any], digits: str, cfg: DataConfig, *, line: int) -> bytes:
    """Return a row as a line of JSON whose answer begins with a canary.

    Args:
        row: of any form that training takes.
        digits: of the canary.
        cfg: the data section, which says what the columns are called.
        line: where the row stands.
    """
    sentence, columns = SENTENCE.format(digits), cfg.columns
    form = form_of_row(dict(row), form=cfg.format, columns=columns, line=line)
    if form.answer is None:
        raise DataError(
            f"canaries are put into answers, and rows of the form {form.name} have none",
            fix="use data with questions and answers",
        )
    column = column_of(columns, form.answer)
    if isinstance(row[column], list):
        *turns, last = row[column]
        name = "content" if "content" in last else "value"
        changed = {**row, column: [*turns, {**last, name: f"{sentence} {last[name]}"}]}
    else:
        changed = {**row, column: f"{sentence} {row[column]}"}
    return json.dumps(changed, ensure_ascii=False).encode()
