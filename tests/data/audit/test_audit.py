"""The audit of two files: counts, lines, leakage; kept, and the same whoever makes it."""

import json
from pathlib import Path

import numpy as np
import pytest

from medlora.config import DataConfig
from medlora.data.audit.audit import audit
from medlora.data.audit.duplicates import duplicates
from medlora.data.audit.leakage import leakage
from medlora.data.audit.overlap import Prompts, look_for
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FACT, FactMaker
from medlora.data.formats.joined_files import Source
from medlora.errors import DataError
from medlora.files import sha256_file

CARE = "Call for help at once and do not drive yourself to the hospital; sit down and stay calm."
REST = "Rest, drink water, and see a doctor soon if it stays, comes back or gets any worse at all."
TRAIN = [
    {"prompt": "Chest pain?", "response": CARE, "patient": 1},
    {"prompt": "Chest pain?", "response": CARE, "patient": 1},
    {"prompt": "chest PAIN", "response": REST, "patient": 2},
    {"prompt": "A cold?", "response": "yes", "patient": 3},
    {"prompt": "A cough?", "response": "yes", "patient": "3"},
    {"prompt": "Chest pain?", "response": CARE.replace("yourself ", ""), "patient": 4},
]
EVAL = [
    {"prompt": "A fever?", "response": "yes", "patient": 5},
    {"prompt": "A cough, really?", "response": REST, "patient": 6},
    {"prompt": "A rash?", "response": "no", "patient": 3},
]


@pytest.fixture
def files(write_jsonl) -> dict[str, DataFile]:
    """Both files, the training file with an empty line."""
    train = write_jsonl("train.jsonl", TRAIN)
    train.write_bytes(b"\n" + train.read_bytes())
    paths = {"train": train, "eval": write_jsonl("eval.jsonl", EVAL)}
    return {split: DataFile(Source.of(path), sha256_file(path)) for split, path in paths.items()}


CFG = DataConfig(group_by="patient")


def test_duplicates_are_rows_less_different_ones(files, tmp_path: Path) -> None:
    """Exact and folded ones; lines name both ends."""
    entry = audit(files, CFG, Prompts(), root=tmp_path / "a")
    rows = entry.table.of(entry.manifest["rows"])
    found = duplicates(rows["train"], place="t:{}".format)
    assert found["exact"] == {"rows": 1, "questions": 2, "answers": 2}
    assert found["normalised"] == {"rows": 1, "questions": 3, "answers": 2}
    assert found["near_duplicates"] == 2
    assert found["clusters"] == {"count": 1, "largest_rows": 3}
    assert found["lines"]["near_duplicates"] == ["t:3 repeats t:2", "t:7 repeats t:2"]
    assert found["lines"]["questions"] == [f"t:{n} repeats t:2" for n in (3, 4, 7)]
    assert found["lines"]["answers"] == ["t:3 repeats t:2", "t:6 repeats t:5"]


def test_leakage_is_counted_by_what_is_shared(files, tmp_path: Path) -> None:
    """A long answer and a group give rows away; a label does not."""
    entry = audit(files, CFG, Prompts(), root=tmp_path / "a")
    rows = entry.table.of(entry.manifest["rows"])
    found = leakage(rows["train"], rows["eval"], places=("t:{}".format, "e:{}".format))
    lines = found.pop("lines")
    assert found == {
        "evaluation_rows": 3,
        "leaked_rows": 2,
        "same_question": 0,
        "same_answer": 1,
        "same_group": 1,
        "same_near_duplicate": 1,
    }
    assert lines["answer"] == ["e:2 in t:4"]
    assert lines["group"] == ["e:3 in t:5"]


def test_a_second_audit_reads_nothing(files, tmp_path: Path, monkeypatch) -> None:
    """Until file, columns, group or suites change."""
    root = tmp_path / "a"
    first = audit(files, CFG, Prompts(), root=root)
    keys = {first.manifest["key"]}
    with monkeypatch.context() as patch:
        patch.setattr("medlora.data.audit.audit.read_facts", lambda *_: pytest.fail("read again"))
        second = audit(files, CFG, Prompts(), root=root)
        assert not second.made
        assert np.array_equal(first.table.rows, second.table.rows)
        assert not audit(files, CFG.model_copy(update={"max_length": 9}), Prompts(), root=root).made
    for cfg, prompts in (
        (DataConfig(), Prompts()),
        (CFG, look_for({"s": ["Chest pain?"]})),
        (CFG, look_for({"s": ["A cold?"]})),
    ):
        keys.add(audit(files, cfg, prompts, root=root).manifest["key"])
    assert len(keys) == 4


def test_rows_that_hold_prompts_are_counted(files, tmp_path: Path) -> None:
    """By suite, with the first lines; the manifest holds no text."""
    prompts = look_for({"near": ["Chest pain!", CARE], "far": ["Nothing of the kind?"]})
    entry = audit(files, CFG, prompts, root=tmp_path / "a")
    assert entry.manifest["contamination"] == {
        "near": {
            "prompts": 2,
            "prompts_found": 2,
            "rows_with_the_same_question": 4,
            "rows_with_a_run_of_words": 0,
            "lines": [2, 3, 4, 7],
        },
        "far": {
            "prompts": 1,
            "prompts_found": 0,
            "rows_with_the_same_question": 0,
            "rows_with_a_run_of_words": 0,
            "lines": [],
        },
    }
    kept = b"".join(p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert b"hest" not in kept


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    """Nor does the size of a piece: facts are the same to the bit."""
    file = tmp_path / "t.jsonl"
    lines = [
        json.dumps({"prompt": f"Q {n} ü?", "response": f"A {n} " * (n % 40)})
        for n in range(1, 5000)
    ]
    file.write_text("\n".join(line for n, line in enumerate(lines, start=1) if n % 40), "utf-8")
    data, maker = (
        DataFile(Source.of(file), sha256_file(file)),
        FactMaker("auto", CFG.columns, None, Prompts()),
    )
    one, two = (read_facts(data, maker, workers=count) for count in (0, 2))
    assert np.array_equal(one.rows, two.rows)
    assert np.array_equal(one.sketches, two.sketches)
    content = file.read_bytes()
    for row in one.rows[:: len(one.rows) // 50]:
        before = content[: row["offset"]]
        assert before.count(b"\n") == row["line"] - 1
        assert not before or before.endswith(b"\n")


def test_a_row_without_its_group_is_refused(files, tmp_path: Path) -> None:
    """It could leak unseen; so could one whose group is a fraction or nothing."""
    bad = [{**TRAIN[0], "patient": value} for value in (None, "", " ", 1.5, True, [1])]
    rows = "".join(json.dumps(row) + "\n" for row in [*TRAIN, *bad, {**EVAL[0], "patient": "p"}])
    files["train"].path.paths[0].write_text(rows)
    data = {"train": DataFile(files["train"].path, files["train"].path.sha256())}
    with pytest.raises(DataError) as error:
        audit(data, CFG, Prompts(), root=tmp_path / "a")
    said = str(error.value)
    assert "6 problems" in said
    assert "train.jsonl:7: field 'patient': missing; name the row's group" in said
    assert "train.jsonl:10: field 'patient': a number instead of text or a whole number" in said


def test_a_row_costs_the_same_memory_whatever_it_says() -> None:
    """1,000,000 rows need less than 300 MB: what is kept has one size, and no text."""
    assert FACT.itemsize + 128 < 300
