"""A suite's prompts are found in rows, however they are written."""

from medlora.data.audit.overlap import EQUAL, WITHIN, look_for
from medlora.data.audit.word_hashes import words_of
from medlora.data.folding import digest64, folded

LONG = "My father has had pressure in his chest since this morning and his left arm feels numb"
MIDDLE = "Can I take two of these tablets at once?"
SHORT = "Is aspirin safe?"


def hits(*turns: tuple[str, str]) -> set[tuple[int, int, int]]:
    """What is found in rows of a question and an answer."""
    prompts = look_for({"one": [LONG, MIDDLE], "two": [SHORT]})
    questions = [digest64(folded(question)) for question, _ in turns]
    words = words_of([folded(" ".join(turn)) for turn in turns])
    return {tuple(hit) for hit in prompts.hits(questions, words).tolist()}


def test_an_equal_question_is_found_whatever_its_spelling() -> None:
    """Of any length."""
    assert (0, 2, EQUAL) in hits(("is ASPIRIN safe", "Ask a doctor."))
    assert (1, 0, EQUAL) in hits(("Else", "No."), (LONG.upper() + "!!", "Call for help."))


def test_a_run_of_thirteen_words_is_found_in_any_turn() -> None:
    """With other text around; twelve are not enough of a longer prompt."""
    words = LONG.split()
    run, less = " ".join(words[2:15]), " ".join(words[2:14])
    assert hits(("Else", f"He said: {run}. Then he left.")) == {(0, 0, WITHIN)}
    assert hits(("Else", f"He said: {less} - then he left.")) == set()


def test_a_prompt_of_eight_words_is_found_whole() -> None:
    """A shorter one within a text is what anybody may say."""
    assert (0, 1, WITHIN) in hits(("Hello", f"They often ask: {MIDDLE} We say no."))
    assert hits(("Hello", f"They often ask: {SHORT} We say no.")) == set()


def test_without_suites_nothing_is_looked_for() -> None:
    """And nothing is found."""
    assert len(look_for({}).hits([1], words_of(["a b c"]))) == 0
