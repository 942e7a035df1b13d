"""Held-out rows share no question with the training rows."""

import numpy as np

from medlora.data.conversation_record import Message, Record
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


def keys(**kinds: list[int]) -> dict[str, np.ndarray]:
    """Keys of rows whose questions all differ, unless given."""
    count = len(next(iter(kinds.values())))
    given = {"question": list(range(1, count + 1)), **kinds}
    return {name: np.array(values, np.uint64) for name, values in given.items()}


def test_whatever_is_shared_stays_on_one_side() -> None:
    """Question, answer, group and near duplicates, each by itself and through each other."""
    draw = np.random.default_rng(0)
    for seed in range(20):
        kinds = {name: draw.integers(0, 250, 100).tolist() for name in ("answer", "group")}
        made = keys(**kinds)
        split = hold_out(made, fraction=0.1, seed=seed)
        assert split.facts["given_up"] == []
        for values in made.values():
            assert not set(values[split.train]) & set(values[split.held]) - {0}
        assert sorted([*split.train, *split.held]) == list(range(100))


def test_a_large_piece_stays_in_training() -> None:
    """Half of the rows are one patient's: the others are held out, and no more than wanted."""
    made = keys(group=[1] * 50 + list(range(2, 52)))
    for seed in range(20):
        split = hold_out(made, fraction=0.1, seed=seed)
        assert len(split.held) == 10
        assert split.held.min() >= 50
    assert split.facts["largest_component_rows"] == 50


def test_where_all_hangs_together_near_duplicates_part_first_and_groups_never() -> None:
    """What was given up is stated."""
    rows = 40
    made = keys(
        group=[n // 2 + 1 for n in range(rows)], answer=[1] * rows, near_duplicate=[1] * rows
    )
    split = hold_out(made, fraction=0.2, seed=1)
    assert split.facts["given_up"] == ["answer", "near_duplicate"]
    assert len(split.held) == 8
    assert not set(made["group"][split.train]) & set(made["group"][split.held])
    del made["answer"]
    assert hold_out(made, fraction=0.2, seed=1).facts["given_up"] == ["near_duplicate"]
    made["group"][:] = 1
    alone = hold_out(made, fraction=0.2, seed=1)
    assert len(alone.held) == 0
    assert alone.facts["given_up"] == []  # it would not have helped
