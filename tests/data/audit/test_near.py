"""Near duplicates are found, and nothing else is called one."""

import random

import numpy as np
import pytest

from medlora.data.audit.minhash import PLACES, alike, shingles_of, sketch
from medlora.data.audit.near import THRESHOLD, near_duplicates
from medlora.data.audit.word_hashes import words_of
from medlora.data.folding import digest64

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]


def text(draw: random.Random, words: int) -> list[str]:
    """Some words."""
    return [draw.choice(VOCABULARY) for _ in range(words)]


def edited(draw: random.Random, words: list[str], share: float) -> list[str]:
    """The words with this share of them replaced, dropped or doubled."""
    made: list[str] = []
    for word in words:
        if draw.random() >= share:
            made.append(word)
        else:
            made += draw.choice(([], [word, word], [draw.choice(VOCABULARY)]))
    return made


def sets(texts: list[str]) -> list[set[tuple[str, ...]]]:
    """Every three words in a row of each text."""
    split = [one.split() for one in texts]
    return [{tuple(w[n : n + 3]) for n in range(max(len(w) - 2, 1))} for w in split]


def clusters_of(texts: list[str]) -> list[int]:
    """The cluster of each text."""

    def shingles(rows):
        hashes, starts = shingles_of(words_of([texts[row] for row in rows]))
        return [np.unique(one) for one in np.split(hashes, starts[1:])]

    digests = np.array([digest64(one) for one in texts], np.uint64)
    return near_duplicates(sketch(words_of(texts)), digests, shingles).tolist()


def jaccard(one: set, other: set) -> float:
    """What two sets have in common."""
    return len(one & other) / len(one | other)


def test_edited_copies_are_found_and_strangers_are_not() -> None:
    """Recall and precision over 400 pairs whose Jaccard index is known."""
    draw = random.Random(0)
    texts = []
    for _ in range(400):
        words = text(draw, draw.randint(12, 150))
        texts += [" ".join(words), " ".join(edited(draw, words, draw.uniform(0.0, 0.15)))]
    exact = sets(texts)
    found = clusters_of(texts)
    sure = close = sure_found = close_found = 0
    for one in range(0, len(texts), 2):
        index, together = jaccard(exact[one], exact[one + 1]), found[one] == found[one + 1] != 0
        if index < THRESHOLD[0] / THRESHOLD[1]:
            assert not together
        elif index >= 0.8:
            sure, sure_found = sure + 1, sure_found + together
        else:
            close, close_found = close + 1, close_found + together
    assert sure_found == sure > 100
    assert close_found >= 0.93 * close > 40
    assert len({c for c in found if c}) == sure_found + close_found  # no pair joined another


def test_the_sketch_estimates_the_jaccard_index() -> None:
    """Within four standard deviations, and without bias."""
    draw = random.Random(1)
    errors = []
    for _ in range(100):
        words = text(draw, 200)
        pair = [" ".join(words), " ".join(edited(draw, words, draw.uniform(0.0, 0.3)))]
        one, other = sketch(words_of(pair))
        errors.append((one == other).mean() - jaccard(*sets(pair)))
    assert np.abs(errors).max() < 4 * 0.5 / PLACES**0.5
    assert abs(np.mean(errors)) < 0.02


def test_many_copies_of_one_text_are_one_cluster() -> None:
    """A thousand rows from one template cost no million comparisons."""
    draw = random.Random(2)
    words = text(draw, 60)
    texts = [" ".join([*words, f"number{n}"]) for n in range(1000)]
    assert set(clusters_of(texts)) == {1}


def test_a_cluster_is_a_chain_and_short_texts_are_exact() -> None:
    """The first row's number plus 1; a text of two words is like nothing but itself."""
    long = [f"w{n}" for n in range(40)]
    texts = ["a b", "a c", " ".join(long), "a b", " ".join([*long[2:], "x"]), " ".join(long[3:])]
    assert clusters_of(texts) == [1, 0, 3, 1, 3, 3]


@pytest.mark.parametrize(("common", "alike_"), [(7, True), (6, False)])
def test_the_threshold_is_exact(common: int, alike_: bool) -> None:
    """Seven of ten is alike, six of ten is not; no float is in between."""
    one = np.arange(common + (10 - common) // 2, dtype=np.uint64)
    other = np.r_[one[:common], np.arange(100, 100 + 10 - len(one), dtype=np.uint64)]
    pairs = np.array([[0, 1]])
    assert alike([one, other], pairs, threshold=THRESHOLD).tolist() == [alike_]
