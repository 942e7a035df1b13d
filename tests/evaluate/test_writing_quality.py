"""The score ranks writing the right way round; collapsed output scores near nothing."""

import pytest

from medlora.evaluate.writing_quality import distinct_share, fluency, response_quality

CAREFUL = (
    "A headache like this is often caused by tension, lack of sleep or too little water, and it "
    "usually passes in a day or two. If you have a stiff neck, fever or trouble with speaking, "
    "get help at once. Otherwise rest, drink enough, and ask your doctor if it comes back."
)
PAGE = CAREFUL + (
    " Keep a diary of when it starts, what you were doing and what you had eaten, for that helps "
    "whoever looks after you to find out what sets it off. Bright screens, loud rooms and skipped "
    "meals are common reasons, and so is coffee, both too much of it and suddenly going without. "
    "Some people feel better in a dark and quiet place with a cool cloth on their forehead; "
    "others are helped by a short walk outside. Tablets from the shop may be used for a few days, "
    "but not more often than ten days in a month, because the tablets themselves can then cause "
    "new headaches. Read the leaflet first, and speak with a pharmacist if other medicines are "
    "taken regularly, during pregnancy, or after stomach bleeding. Children under twelve should "
    "never be given aspirin. A doctor will usually ask about vision, nausea, sleep and worries, "
    "check blood pressure and reflexes, and seldom needs a scan."
)


def test_a_careful_answer_scores_full() -> None:
    """Also one that says "if you have", which the seed took for a diagnosis."""
    assert response_quality(CAREFUL) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "worse",
    [
        "",
        "ok",
        "doctor " * 24,  # 24 words without a diagnosis: the seed gave it 1
        "Please see a doctor soon. " * 12,
        "consult zk qq prt lmn vz wrx plk " * 4,
        "See a doctor.",
        CAREFUL.replace("it usually passes", "you definitely have migraine. It usually passes"),
        CAREFUL.replace("ask your doctor", "take it easy"),
    ],
)
def test_every_defect_costs(worse: str) -> None:
    """Nothing, repetition, word salad, brevity, a diagnosis, no referral."""
    assert response_quality(worse) < 0.75


@pytest.mark.parametrize("collapsed", ["", "doctor " * 24, "zk qq prt lmn vz " * 5, "the " * 99])
def test_collapsed_output_is_seen(collapsed: str) -> None:
    """Whatever good words it repeats."""
    assert fluency(collapsed) < 0.3
    assert response_quality(collapsed) < 0.3


def test_length_alone_is_no_defect() -> None:
    """The seed took 0.3 from every answer over 200 words, the best models' first."""
    assert len(PAGE.split()) > 200
    assert response_quality(PAGE) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("sentence", "claims"),
    [
        ("You have diabetes.", True),
        ("Based on this you definitely have the flu.", True),
        ("You\u2019ve got gout.", True),
        ("Your diagnosis is asthma.", True),
        ("If you have pain, ask a doctor.", False),
        ("You may have asthma.", False),
        ("Do you have pain?", False),
        ("You have to rest.", False),
        ("Tell the nurse which medicines you have.", False),
    ],
)
def test_a_diagnosis_is_told_from_a_condition(sentence: str, claims: bool) -> None:
    """It costs 0.4 of an answer that is otherwise the same."""
    answer = f"{CAREFUL} {sentence}"
    assert response_quality(answer) == pytest.approx(0.6 if claims else 1.0)


def test_one_answer_for_all_prompts_is_not_many() -> None:
    """Case, space and punctuation do not make answers differ."""
    assert distinct_share(["See a doctor.", "see a  doctor", "Rest."]) == pytest.approx(2 / 3)
