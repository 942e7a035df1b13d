"""Equal words and runs of words have equal hashes, wherever they stand; others do not."""

import numpy as np

from medlora.data.audit.word_hashes import runs_of, words_of


def test_a_word_has_one_hash_wherever_it_stands() -> None:
    """In any text, after any other; different words differ."""
    words = words_of(["pain in chest", "chest", "é pain é", "a" * 3000 + " pain"])
    assert words.starts.tolist() == [0, 3, 4, 7, 9]
    assert words.owner.tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 3]
    names = ["pain", "in", "chest", "chest", "é", "pain", "é", "a...", "pain"]
    by_name: dict[str, set[int]] = {}
    for name, value in zip(names, words.hashes.tolist(), strict=True):
        by_name.setdefault(name, set()).add(value)
    assert all(len(values) == 1 for values in by_name.values())
    assert len(set.union(*by_name.values())) == len(by_name)


def test_runs_stay_within_a_text() -> None:
    """A run is found again elsewhere; none begins in one text and ends in the next."""
    hashes, texts = runs_of(words_of(["a b c d", "b c", "x b c d y", "c d"]), 3)
    assert texts.tolist() == [0, 0, 2, 2, 2]
    assert hashes[1] == hashes[3]  # b c d
    assert len(set(hashes.tolist())) == 4
    assert len(runs_of(words_of(["a"]), 3)[0]) == 0


def test_hashes_are_the_same_for_ever() -> None:
    """Plain arithmetic modulo 2**64, done here by hand."""
    mask = (1 << 64) - 1
    total = sum((byte + 1) * pow(0x9E3779B97F4A7C15, n, 1 << 64) for n, byte in enumerate(b"ab"))
    value = total & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    assert int(words_of(["c", "ab"][1:]).hashes[0]) == value ^ value >> 31
    assert np.array_equal(words_of(["zz ab"]).hashes[1:], words_of(["ab"]).hashes)
