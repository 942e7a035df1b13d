"""Conversations as the rows that a model sees: cut to the limit, counted, none lost silently.

T is the number of tokens of one row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlora.data.chat import Tokens
from medlora.data.problems import Problem, refuse


@dataclass(frozen=True, slots=True)
class Row:
    """One row; position 0 is never a target, for nothing stands before it."""

    ids: NDArray[np.int32]  # int32 [T]
    learn: NDArray[np.bool_]  # bool [T]

    @property
    def targets(self) -> int:
        """How many tokens carry loss."""
        return int(self.learn[1:].sum())


@dataclass(slots=True)
class Rows:
    """The rows of one split and what was done to make them fit."""

    rows: list[Row] = field(default_factory=list)
    truncated: int = 0
    dropped: int = 0

    @property
    def tokens(self) -> int:
        """Tokens in all rows, padding not counted."""
        return sum(len(row.ids) for row in self.rows)

    @property
    def targets(self) -> int:
        """Tokens that carry loss."""
        return sum(row.targets for row in self.rows)


def make_rows(
    items: Iterable[Tokens | Problem], *, file: Path, max_length: int, overlong: str
) -> Rows:
    """Return the rows of a split.

    Args:
        items: what `chat.tokenize` yields.
        file: the file that problems are reported for.
        max_length: limit in tokens.
        overlong: what happens to a row over the limit: `truncate`, `drop` or `fail`.

    Raises:
        DataError: a row is refused, or has nothing left to learn from.
    """
    made, problems = Rows(), []
    for item in items:
        outcome = item if isinstance(item, Problem) else _fit(item, max_length, overlong)
        match outcome:
            case Problem():
                problems.append(outcome)
            case None:
                made.dropped += 1
            case Row():
                cut = isinstance(item, Tokens) and len(item.ids) > max_length
                made.truncated += cut
                made.rows.append(outcome)
    refuse(file, problems)
    return made


def _fit(tokens: Tokens, max_length: int, overlong: str) -> Row | Problem | None:
    length = len(tokens.ids)
    if length > max_length and overlong == "drop":
        return None
    if length > max_length and overlong == "fail":
        found = f"{length} tokens, over the limit of {max_length}"
        fix = "raise data.max_length, shorten the row, or set data.overlong to truncate or drop"
        return Problem(tokens.line, found, fix)
    row = Row(tokens.ids[:max_length], tokens.learn[:max_length])
    if row.targets:
        return row
    return _nothing_to_learn(tokens, max_length)


def _nothing_to_learn(tokens: Tokens, max_length: int) -> Problem:
    if len(tokens.ids) > max_length:
        start = int(np.argmax(tokens.learn))
        found = f"nothing to learn from: the answer begins at token {start} of {max_length}"
        return Problem(tokens.line, found, "shorten the prompt or raise data.max_length")
    found = "nothing to learn from: no token of an answer"
    return Problem(tokens.line, found, "check the base model's chat template")
