"""Held-out rows share no question with the training rows."""

from medlora.data.records import Message, Record
from medlora.data.split import hold_out


def record(line: int, question: str) -> Record:
    """A row with this question."""
    return Record(line, (Message("user", question), Message("assistant", "x", learn=True)))


ROWS = [
    record(n, f"Question  {n // 2 % 20}" if n % 2 else f"question {n // 2 % 20}")
    for n in range(100)
]


def test_no_question_stands_on_both_sides() -> None:
    """Duplicates stay together, whatever their case and spacing."""
    train, held = hold_out(ROWS, fraction=0.2, seed=1)
    sides = [{row.messages[0].content.split()[-1] for row in side} for side in (train, held)]
    assert not sides[0] & sides[1]
    assert len(train) + len(held) == 100
    assert 20 <= len(held) < 26


def test_the_split_is_a_function_of_seed_and_questions_alone() -> None:
    """Another order of the file holds out the same rows; another seed others."""
    _, held = hold_out(ROWS, fraction=0.2, seed=1)
    _, turned = hold_out(ROWS[::-1], fraction=0.2, seed=1)
    _, other = hold_out(ROWS, fraction=0.2, seed=2)
    assert {row.line for row in held} == {row.line for row in turned}
    assert {row.line for row in held} != {row.line for row in other}


def test_something_is_left_for_training() -> None:
    """One question for all rows is never held out whole; 0 holds out nothing."""
    same = [record(n, "one") for n in range(10)]
    assert hold_out(same, fraction=0.5, seed=1) == (same, [])
    assert hold_out(ROWS, fraction=0.0, seed=1)[1] == []
