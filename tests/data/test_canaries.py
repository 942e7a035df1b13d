"""Canaries are pure functions of their seed and get into rows of every form."""

import json

import pytest

from medlora.config import DataConfig
from medlora.data.canaries import choose_rows, decoys, secret, with_canary
from medlora.errors import DataError


def test_rows_are_used_once_and_controls_are_planted_nowhere() -> None:
    """Each canary has as many rows as copies; a control has a context alone."""
    canaries = choose_rows(range(10, 90), copies=(0, 1, 4), each=3, seed=1)
    assert [one.copies for one in canaries] == [0] * 3 + [1] * 3 + [4] * 3
    assert [len(one.planted) for one in canaries] == [0] * 3 + [1] * 3 + [4] * 3
    lines = [line for one in canaries for line in one.lines]
    assert len(set(lines)) == len(lines) == 3 * (1 + 1 + 4)
    assert canaries == choose_rows(range(10, 90), copies=(0, 1, 4), each=3, seed=1)
    assert canaries != choose_rows(range(10, 90), copies=(0, 1, 4), each=3, seed=2)


def test_too_few_rows_are_refused() -> None:
    """65, with both numbers."""
    with pytest.raises(DataError, match="need 17 rows, and it has 16"):
        choose_rows(range(16), copies=(16, 0), each=1, seed=0)


def test_decoys_are_drawn_like_the_secret_and_are_never_it() -> None:
    """Eight digits, all different, the same again for the same seed."""
    drawn = decoys(5, 2, count=1000)
    assert len(set(drawn)) == 1000
    assert {len(text) for text in drawn} == {8}
    assert all(text.isdigit() for text in drawn)
    assert secret(5, 2) not in drawn
    assert drawn == decoys(5, 2, count=1000)
    assert len({secret(seed, number) for seed in range(5) for number in range(20)}) == 100


@pytest.mark.parametrize(
    ("row", "columns", "changed"),
    [
        ({"prompt": "a", "response": "b é"}, {}, {"response": "Patient MRN is 7. b é"}),
        ({"q": "a", "a": "b"}, {"prompt": "q", "response": "a"}, {"a": "Patient MRN is 7. b"}),
        (
            {"instruction": "a", "input": "", "output": "b"},
            {},
            {"output": "Patient MRN is 7. b"},
        ),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            {},
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "Patient MRN is 7. b"},
                ]
            },
        ),
    ],
)
def test_the_answer_begins_with_it_and_nothing_else_changes(
    row: dict, columns: dict, changed: dict
) -> None:
    """Whatever the form and the names of the columns."""
    line = with_canary(row, "7", DataConfig(columns=columns), line=1)
    assert json.loads(line) == row | changed
