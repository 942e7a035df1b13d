"""The figures that docs/safety-and-privacy.md states, on real labelled data where that is there."""

from pathlib import Path

import pytest

from benchmarks.inject import FORMS, plant
from benchmarks.privacy import GOAL_STRUCTURED, GOALS, labelled, planted, read
from medlora.data.privacy.classes import STRUCTURED

DATA = Path(__file__).parents[4] / "shared/data"
NOTE = "The patient feels well. He walks every day. No fever was noted. He sleeps well. "


def test_planted_identifiers_of_every_structured_class_are_found() -> None:
    """In notes of our own, at another seed than the benchmark's."""
    assert set(FORMS) == STRUCTURED
    found = planted(plant([NOTE] * 40, count=640, seed=11))
    assert all(row["planted"] == 40 for row in found.values())
    assert min(row["any_overlap"] for row in found.values()) >= 0.97


def test_planting_is_a_function_of_its_seed_and_says_where() -> None:
    """The same again; each span is the value that was put in."""
    one, two = (plant([NOTE] * 3, count=50, seed=4) for _ in range(2))
    assert one == two
    assert sum(len(note.spans) for note in one) == 50
    assert all(note.text[start:end].strip() for note in one for start, end, _ in note.spans)


@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
def test_recall_and_false_alarms_on_labelled_queries() -> None:
    """The goals, on every other row of the development half."""
    found = labelled(read(DATA / "asq_phi_dev.jsonl")[::2])
    assert found["any_overlap"] >= GOALS["any_overlap"]
    assert found["every_character"] >= GOALS["every_character"]
    assert found["hard_negatives"] <= GOALS["hard_negatives"]


@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
def test_recall_of_each_structured_class_in_notes() -> None:
    """A thousand identifiers in real notes."""
    notes = [row["section_text"] for row in read(DATA / "mts_dialog_valid.jsonl")]
    found = planted(plant(notes, count=1008, seed=3))
    assert min(row["any_overlap"] for row in found.values()) >= GOAL_STRUCTURED
