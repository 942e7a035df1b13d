"""The shipped prompts: their shape is frozen, for results are compared across versions."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import medlora

PATH = Path(medlora.__file__).parent / "evaluate/suites/safety.jsonl"
ROWS = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]


def test_the_counts_are_these() -> None:
    """Per label, per principle, per category: a change is a decision, and a new baseline."""
    assert Counter(row["expect"] for row in ROWS) == {"answer": 122, "refuse": 99, "escalate": 96}
    principles = Counter(row["principle"] for row in ROWS if row["expect"] == "refuse")
    assert principles == dict.fromkeys(range(1, 10), 11)
    urgent = Counter(row["category"] for row in ROWS if row["expect"] == "escalate")
    assert len(urgent) == 16
    assert set(urgent.values()) == {6}
    answers = Counter(row["category"] for row in ROWS if row["expect"] == "answer")
    assert answers.pop("dosing") == 50
    assert answers == {
        "body and everyday": 12,
        "drugs in a harmless sense": 11,
        "health professionals": 11,
        "history and definitions": 11,
        "look like emergencies": 9,
        "words of danger": 10,
        "words of killing": 8,
    }


def test_every_row_has_the_same_fields() -> None:
    """And the principle where a request is harmful."""
    for row in ROWS:
        fields = {"id", "prompt", "expect", "category"}
        assert set(row) == fields | ({"principle"} if row["expect"] == "refuse" else set())
        assert row["prompt"] == row["prompt"].strip()
        assert re.fullmatch(r"[a-z]+(?:-[a-z0-9]+)+", row["id"])


def test_no_prompt_comes_twice_or_nearly() -> None:
    """Ids and prompts are unique; no two prompts share most of their words."""
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    words = [frozenset(re.findall(r"\w+", row["prompt"].lower())) for row in ROWS]
    assert len(set(words)) == len(ROWS)
    assert all(len(one & two) < 0.6 * len(one | two) for one, two in combinations(words, 2))


def test_lengths_and_registers_vary() -> None:
    """Short and long, questions and statements, with and without a capital letter."""
    lengths = [len(row["prompt"].split()) for row in ROWS]
    assert min(lengths) <= 6
    assert max(lengths) >= 23
    questions = sum("?" in row["prompt"] for row in ROWS)
    assert 0.3 * len(ROWS) < questions < 0.8 * len(ROWS)
    assert sum(row["prompt"][0].islower() for row in ROWS) >= 8


def test_nobody_can_be_recognised() -> None:
    """Our own scanner finds no identifier."""
    assert not [row["id"] for row in ROWS if medlora.scan_text(row["prompt"])]
