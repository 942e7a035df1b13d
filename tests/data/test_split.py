"""Held-out rows share no question with the training rows."""

import numpy as np

from medlora.data.records import Message, Record
from medlora.data.split import hold_out


def digest(question: str) -> int:
    """The digest of a row with this question."""
    messages = (Message("user", question), Message("assistant", "x", learn=True))
    return Record(1, messages).fold().keys[0]


# Twenty questions, five rows each, in two spellings.
NUMBERS = np.array([n // 2 % 20 for n in range(100)])
SPELLINGS = ("Question  {}", "question {}")
QUESTIONS = np.array([digest(SPELLINGS[n % 2].format(k)) for n, k in enumerate(NUMBERS)], np.uint64)


def split_of(questions, **options: float):
    """The rows of both sides."""
    split = hold_out({"question": questions}, **options)
    return split.train, split.held


def test_no_question_stands_on_both_sides() -> None:
    """Duplicates stay together, whatever their case and spacing."""
    train, held = split_of(QUESTIONS, fraction=0.2, seed=1)
    assert not set(NUMBERS[train]) & set(NUMBERS[held])
    assert sorted([*train, *held]) == list(range(100))
    assert train.tolist() == sorted(train)
    assert 20 <= len(held) < 26


def test_the_split_is_a_function_of_seed_and_questions_alone() -> None:
    """Another order of the file holds out the same rows; another seed others."""
    _, held = split_of(QUESTIONS, fraction=0.2, seed=1)
    _, turned = split_of(QUESTIONS[::-1], fraction=0.2, seed=1)
    _, other = split_of(QUESTIONS, fraction=0.2, seed=2)
    assert set(held) == {99 - row for row in turned}
    assert set(held) != set(other)


def test_something_is_left_for_training() -> None:
    """One question for all rows is never held out whole; 0 holds out nothing."""
    same = np.full(10, 7, dtype=np.uint64)
    for questions, fraction in ((same, 0.5), (QUESTIONS, 0.0)):
        train, held = split_of(questions, fraction=fraction, seed=1)
        assert train.tolist() == list(range(len(questions)))
        assert held.tolist() == []
    train, held = split_of(QUESTIONS, fraction=0.999, seed=1)
    assert len(set(NUMBERS[train])) == 1
