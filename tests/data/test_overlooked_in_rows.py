"""What is easily forgotten is told with its lines, and never with a row's text."""

import json
from pathlib import Path

import pytest

from medlora.config import ColumnsConfig
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.formats.joined_files import Source
from medlora.data.overlooked_in_rows import ANSWER, notice_line, notices

KNOWN = set(ColumnsConfig().model_dump().values())


@pytest.mark.parametrize(
    "answer",
    [
        "N/A",
        "n/a",
        "n.a.",
        "NA",
        "NaN",
        "null",
        "#N/A",
        "#REF!",
        " - ",
        "...",
        "?",
        "\u2014",
        "TBD",
    ],
)
def test_an_answer_may_say_nothing(answer: str) -> None:
    """As a spreadsheet or a tired person writes it."""
    assert list(notices({}, answer, known=KNOWN, grouped=False)) == [ANSWER]


@pytest.mark.parametrize(
    "answer", ["No.", "none", "unknown", "yes", "B", "0", "Na+ is low", "x", ""]
)
def test_a_short_answer_is_an_answer(answer: str) -> None:
    """What may be right is not told."""
    assert not list(notices({}, answer, known=KNOWN, grouped=False))


def test_labels_and_patients_are_told_unless_the_config_names_them() -> None:
    """Under the names that are usual, in capitals too; never a name that could be text."""
    row = {
        "Label": "1",
        "patient_id": 7,
        "Patient-ID": 8,
        "Osterhagen": 1,
        "class": None,
        "mrn": "",
    }
    said = list(notices(row, "yes", known=KNOWN, grouped=False))
    assert said == ["Label", "patient_id", "Patient-ID"]
    assert list(notices(row, "yes", known=KNOWN, grouped=True)) == ["Label"]
    assert not list(notices({"label": "1"}, "yes", known={"label"}, grouped=False))
    assert "data.columns.response=Label makes it the answer), first a:1" in notice_line(
        "Label", 2, first="a:1"
    )
    assert "data.group_by=mrn keeps them together), first a:1" in notice_line("mrn", 2, first="a:1")


def test_they_are_counted_over_all_rows_with_the_first_lines(tmp_path: Path) -> None:
    """Whatever the form of the rows; no more lines than a report lists."""
    rows = [
        {"prompt": f"p{n}", "response": "N/A" if n % 2 else "rest", "label": n, "mrn": n}
        for n in range(100)
    ]
    rows += [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "-"}]}
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = Source.of(tmp_path / "a.jsonl")
    maker = FactMaker("auto", ColumnsConfig(), None, Prompts())
    found = read_facts(DataFile(file, file.sha256()), maker, workers=0).notices
    assert {name: one.rows for name, one in found.items()} == {"label": 100, "mrn": 100, ANSWER: 51}
    assert found["label"].lines == list(range(1, 21))
    assert found[ANSWER].lines[:3] == [2, 4, 6]
    grouped = FactMaker("auto", ColumnsConfig(), "label", Prompts())
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert read_facts(DataFile(file, file.sha256()), grouped, workers=0).notices == {}
