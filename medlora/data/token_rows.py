"""The rows that a model sees: cut to the limit, counted, none lost silently, none loaded early.

N rows; T is the number of tokens of one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import index as as_index
from typing import overload

import numpy as np
from numpy.typing import NDArray

from medlora.data.chat.chat import Tokens
from medlora.data.piece_encoder import joined
from medlora.data.problems import Places, Problem, Problems
from medlora.data.token_store import TokenTable

_AT_ONCE = 1 << 16  # rows that are looked at together: memory stays small


@dataclass(frozen=True, slots=True)
class Row:
    """One row; position 0 is never a target, for nothing stands before it."""

    ids: NDArray[np.int32]  # int32 [T]
    learn: NDArray[np.bool_]  # bool [T]

    @property
    def targets(self) -> int:
        """How many tokens carry loss."""
        return int(self.learn[1:].sum())


class Rows(Sequence[Row]):
    """The rows of one split, read when asked for, and what was done to make them fit.

    Args:
        table: the tokens of a whole file.
        chosen: which of its rows these are, int64 [N].
        lengths: tokens of each that are left, int64 [N].
        targets: how many of these carry loss, in all rows.
        dropped: rows that were left out.
    """

    def __init__(
        self,
        table: TokenTable,
        chosen: NDArray[np.int64],
        lengths: NDArray[np.int64],
        *,
        targets: int,
        dropped: int = 0,
    ) -> None:
        self.lengths = lengths
        self.targets, self.dropped = targets, dropped
        self._table, self._chosen = table, chosen

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Rows":
        """Return rows that are in memory already, uncut."""
        block = joined([Tokens(n, row.ids, row.learn) for n, row in enumerate(rows, start=1)])
        table = TokenTable.of(block.rows, block.ids, block.runs)
        lengths = np.diff(table.starts)
        targets = int(count_targets(table, np.arange(len(table)), lengths).sum())
        return cls(table, np.arange(len(table)), lengths, targets=targets)

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """Read a row, or a list of rows."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = as_index(index)
        table, row, length = self._table, int(self._chosen[at]), int(self.lengths[at])
        start = table.starts[row]
        learn = np.zeros(length, dtype=bool)
        for first, end in table.runs[table.run_starts[row] : table.run_starts[row + 1]]:
            learn[first:end] = True
        return Row(table.ids[start : start + length].astype(np.int32), learn)

    @property
    def tokens(self) -> int:
        """Tokens in all rows, padding not counted."""
        return int(self.lengths.sum())

    @property
    def lines(self) -> NDArray[np.int64]:
        """Where each row stands in its file, counted from 1, int64 [N]."""
        lines: NDArray[np.int64] = self._table.rows["line"][self._chosen]
        return lines

    @property
    def truncated(self) -> int:
        """Rows that lost their end."""
        return int((self.lengths < self._table.rows["tokens"][self._chosen]).sum())


def fit_rows(
    table: TokenTable,
    chosen: NDArray[np.int64],
    *,
    file: Places,
    max_length: int,
    overlong: str,
) -> Rows:
    """Return the rows of a split.

    Args:
        table: the tokens of a whole file.
        chosen: the split's rows, int64, ascending.
        file: the file that problems are reported for.
        max_length: limit in tokens.
        overlong: what happens to a row over the limit: `truncate`, `drop` or `fail`.

    Raises:
        DataError: a row is refused, or has nothing left to learn from.
    """
    problems, kept, targets = Problems(file), [np.empty(0, dtype=np.int64)], 0
    for rows in _in_parts(chosen):
        lengths = table.rows["tokens"][rows]
        over = lengths > max_length
        if overlong == "fail":
            problems.add(_overlong(table, rows[over], max_length))
        if overlong != "truncate":
            rows, lengths = rows[~over], lengths[~over]  # noqa: PLW2901
        counts = count_targets(table, rows, np.minimum(lengths, max_length))
        problems.add(_nothing_to_learn(table, rows[counts == 0], max_length))
        kept.append(rows)
        targets += int(counts.sum())
    problems.refuse()
    rows = np.concatenate(kept)
    lengths = np.minimum(table.rows["tokens"][rows], max_length)
    return Rows(table, rows, lengths, targets=targets, dropped=len(chosen) - len(rows))


def _in_parts(chosen: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(chosen), _AT_ONCE):
        yield chosen[start : start + _AT_ONCE]


def count_targets(
    table: TokenTable, rows: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many of each row's first tokens carry loss, int64 [N]; never position 0."""
    totals = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        totals[part] = _targets(table, rows[part], lengths[part])
    return totals


def _targets(
    table: TokenTable, rows: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    counts = table.run_starts[rows + 1] - table.run_starts[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    runs = table.runs[np.repeat(table.run_starts[rows], counts) + within]
    learnt = np.minimum(runs[:, 1], lengths[owner]) - runs[:, 0].clip(min=1)
    totals = np.zeros(len(rows), dtype=np.int64)
    np.add.at(totals, owner, learnt.clip(min=0))
    return totals


def _overlong(table: TokenTable, rows: NDArray[np.int64], max_length: int) -> Iterator[Problem]:
    fix = "raise data.max_length, shorten the row, or set data.overlong to truncate or drop"
    for row in table.rows[rows]:
        fault = f"{row['tokens']} tokens, over the limit of {max_length}"
        yield Problem(int(row["line"]), fault, fix)


def _nothing_to_learn(
    table: TokenTable, rows: NDArray[np.int64], max_length: int
) -> Iterator[Problem]:
    for row in rows:
        line, tokens = int(table.rows["line"][row]), int(table.rows["tokens"][row])
        if tokens > max_length and table.rows["runs"][row]:
            start = table.runs[table.run_starts[row], 0]
            fault = f"nothing to learn from: the answer begins at token {start} of {max_length}"
            yield Problem(line, fault, "shorten the prompt or raise data.max_length")
        else:
            fault = "nothing to learn from: no token of an answer"
            yield Problem(line, fault, "check the base model's chat template")
