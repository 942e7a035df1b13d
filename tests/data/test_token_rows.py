"""Rows fit the limit, are counted, and none is lost silently."""

from pathlib import Path

import numpy as np
import pytest

from medlora.data.chat.chat import Tokens
from medlora.data.piece_encoder import joined
from medlora.data.token_rows import Row, Rows, fit_rows
from medlora.data.token_store import TokenTable
from medlora.errors import DataError


def tokens(line: int, prompt: int, answer: int) -> Tokens:
    """A conversation with so many prompt and answer tokens."""
    learn = np.array([False] * prompt + [True] * answer)
    return Tokens(line, np.arange(prompt + answer, dtype=np.int32), learn)


def rows(items: list[Tokens], overlong: str):
    """Rows of at most ten tokens."""
    block = joined(items)
    table = TokenTable.of(block.rows, block.ids, block.runs)
    chosen = np.arange(len(items))
    return fit_rows(table, chosen, file=Path("d"), max_length=10, overlong=overlong)


def test_truncate_cuts_the_end_and_counts() -> None:
    """A long answer loses its end, a short row nothing."""
    made = rows([tokens(1, 4, 3), tokens(2, 4, 20)], "truncate")
    assert [len(row.ids) for row in made] == [7, 10]
    assert (made.truncated, made.dropped) == (1, 0)
    assert (made.tokens, made.targets) == (17, 9)


def test_drop_counts_what_it_leaves_out() -> None:
    """Only rows over the limit go, and they are counted."""
    made = rows([tokens(1, 4, 6), tokens(2, 4, 7)], "drop")
    assert len(made) == 1
    assert (made.truncated, made.dropped) == (0, 1)


def test_fail_names_the_lines() -> None:
    """The refusal says which line and how long it is."""
    with pytest.raises(DataError, match=r"d:7: 30 tokens, over the limit of 10"):
        rows([tokens(1, 1, 1), tokens(7, 10, 20)], "fail")


def test_an_answer_that_is_cut_off_entirely_is_refused() -> None:
    """A prompt that fills the limit leaves nothing to learn from: an error, never a silent row."""
    with pytest.raises(DataError, match=r"d:3: nothing to learn from: the answer begins at token"):
        rows([tokens(3, 12, 5)], "truncate")


def test_the_first_token_is_no_target() -> None:
    """Nothing predicts position 0."""
    assert rows([tokens(1, 0, 4)], "truncate")[0].targets == 3


def test_rows_are_a_sequence_that_gives_back_what_it_was_made_of() -> None:
    """Any mask, any length, by number from either end, by slice and in a loop."""
    draw = np.random.default_rng(0)
    lengths = [1, 2, 7, 30, 3]
    made = [Row(draw.integers(0, 9, n).astype(np.int32), draw.random(n) < 0.5) for n in lengths]
    rows = Rows.of(made)
    assert len(rows) == 5
    assert rows.lengths.tolist() == lengths
    assert rows.tokens == sum(lengths)
    assert rows.targets == sum(row.targets for row in made)
    for given in (list(rows), [rows[n - 5] for n in range(5)], rows[:], [rows[np.int64(0)]]):
        for row, wanted in zip(given, made, strict=False):
            assert row.ids.dtype == np.int32
            assert np.array_equal(row.ids, wanted.ids)
            assert np.array_equal(row.learn, wanted.learn)
    with pytest.raises(IndexError):
        rows[5]


def test_a_cut_changes_neither_the_mask_before_it_nor_the_count() -> None:
    """For any masks and any limit: the same as cutting each row by itself."""
    draw = np.random.default_rng(1)
    items = [
        Tokens(n, np.arange(size, dtype=np.int32), np.r_[False, True, draw.random(size - 2) < 0.6])
        for n, size in enumerate(draw.integers(3, 30, 50), start=1)
    ]
    made = rows(items, "truncate")
    for row, item in zip(made, items, strict=True):
        assert np.array_equal(row.ids, item.ids[:10])
        assert np.array_equal(row.learn, item.learn[:10])
    assert made.targets == sum(row.targets for row in made)
    assert made.truncated == sum(len(item.ids) > 10 for item in items)
    assert made.lengths.tolist() == [min(len(item.ids), 10) for item in items]
