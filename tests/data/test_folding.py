"""What makes no difference is folded away, and nothing else."""

import pytest

from medlora.data.folding import answer_digest, digest64, folded


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("What is (are) Asthma ?", "what is are asthma"),
        ("  two\n\tlines ", "TWO LINES"),
        ("“Quoted” \u2013 text…", "quoted text"),
        ("ﬁne \uff12 mg", "fine 2 mg"),
        ("Straße", "STRASSE"),
        ("नमस्ते दुनिया", "नमस्ते, दुनिया!"),
    ],
)
def test_case_width_spacing_and_punctuation_make_no_difference(text: str, same: str) -> None:
    """In any script."""
    assert folded(text) == folded(same)


@pytest.mark.parametrize(
    ("text", "other"), [("5 mg", "50 mg"), ("INR < 2", "INR > 2"), ("की", "का"), ("?", "!")]
)
def test_what_makes_a_difference_stays(text: str, other: str) -> None:
    """Numbers, signs, vowel signs; and a text of nothing but punctuation is not nothing."""
    assert folded(text) != folded(other)


def test_a_label_betrays_no_row() -> None:
    """Short answers are shared by rows that have nothing to do with each other."""
    assert answer_digest("yes") == answer_digest("not enough information") == 0
    answer = folded("Call for help at once, then rest.")
    assert answer_digest(answer) == digest64(answer) != 0
