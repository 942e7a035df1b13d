"""Rows fit the limit, are counted, and none is lost silently."""

from pathlib import Path

import numpy as np
import pytest

from medlora.data.chat import Tokens
from medlora.data.rows import make_rows
from medlora.errors import DataError


def tokens(line: int, prompt: int, answer: int) -> Tokens:
    """A conversation with so many prompt and answer tokens."""
    learn = np.array([False] * prompt + [True] * answer)
    return Tokens(line, np.arange(prompt + answer, dtype=np.int32), learn)


def rows(items: list[Tokens], overlong: str):
    """Rows of at most ten tokens."""
    return make_rows(items, file=Path("d"), max_length=10, overlong=overlong)


def test_truncate_cuts_the_end_and_counts() -> None:
    """A long answer loses its end, a short row nothing."""
    made = rows([tokens(1, 4, 3), tokens(2, 4, 20)], "truncate")
    assert [len(row.ids) for row in made.rows] == [7, 10]
    assert (made.truncated, made.dropped) == (1, 0)
    assert (made.tokens, made.targets) == (17, 9)


def test_drop_counts_what_it_leaves_out() -> None:
    """Only rows over the limit go, and they are counted."""
    made = rows([tokens(1, 4, 6), tokens(2, 4, 7)], "drop")
    assert len(made.rows) == 1
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
    assert rows([tokens(1, 0, 4)], "truncate").rows[0].targets == 3
