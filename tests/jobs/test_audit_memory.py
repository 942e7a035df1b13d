"""Canaries in a copy, a run on it, and a report that tells what stuck without telling a word."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.data.canaries import secret
from medlora.errors import ConfigError, DataError, MissingPartError
from medlora.files import sha256_file
from medlora.jobs import audit_memory, plant, train
from medlora.jobs.audit_memory import Settings
from medlora.plan.resolve_run import Plan

pytestmark = pytest.mark.slow

Make = Callable[..., Plan]
QUICK = Settings(rows=6, prefix=1, match=2, decoys=30, batch_size=4)
# Digits are bytes to the small tokenizer: a canary takes most of its 64 positions.
LEARN = (
    "data.privacy=warn",  # a canary looks like an identifier
    "training.learning_rate=1e-2",
    "training.num_train_epochs=12",
    "training.warmup_steps=0",
    "training.lr_scheduler_type=constant",
    "training.save_epochs=100",
    "training.eval_steps=1000",
    "lora.r=16",
    "lora.lora_dropout=0",
    "lora.target_modules=all-linear",
)


@pytest.fixture
def source(write_jsonl) -> Path:
    """Rows short enough for the small model to hold a canary beside them."""
    rows = [{"prompt": f"pain {n}", "response": "see a doctor soon"} for n in range(20)]
    return write_jsonl("short/train.jsonl", rows)


@pytest.fixture
def copy(tough_plan: Make, source: Path, tmp_path: Path) -> Path:
    """A copy with one control and one canary of two copies."""
    plan = tough_plan("any", f"data.path={source}")
    plant.run(plan, tmp_path / "copy", copies=(0, 2), each=1, seed=3)
    return tmp_path / "copy"


def lines(path: Path) -> list[bytes]:
    """A file's lines."""
    return path.read_bytes().splitlines()


def test_the_copy_has_canaries_and_the_data_is_as_it_was(source: Path, copy: Path) -> None:
    """Two rows differ, held-out rows have a file of their own, the seed and not the digits kept."""
    original, planted, held = lines(source), lines(copy / "train.jsonl"), lines(copy / "eval.jsonl")
    assert len(planted) + len(held) == len(original) == 20
    assert len(held) == 4
    assert set(held) < set(original)
    digits = secret(3, 1)
    with_it = [n for n, line in enumerate(planted, start=1) if digits.encode() in line]
    stated = json.loads((copy / "canaries.json").read_bytes())
    assert [one["copies"] for one in stated["canaries"]] == [0, 2]
    assert sorted(stated["canaries"][1]["lines"]) == with_it
    assert len(set(planted) - set(original)) == 2
    assert digits not in (copy / "canaries.json").read_text()
    assert stated["train_sha256"] == sha256_file(copy / "train.jsonl")


def test_an_evaluation_file_goes_along_and_an_old_folder_is_refused(
    tough_plan: Make, source: Path, tmp_path: Path
) -> None:
    """Byte for byte; nothing is ever written over."""
    (source.parent / "eval.jsonl").write_bytes(b'{"prompt": "x", "response": "y"}\r\n')
    plan = tough_plan("any", f"data.path={source.parent}")
    for out in (tmp_path / "one", tmp_path / "two"):
        plant.run(plan, out, copies=(1,), each=2, seed=3)
    assert lines(tmp_path / "one/eval.jsonl") == lines(source.parent / "eval.jsonl")
    assert len(lines(tmp_path / "one/train.jsonl")) == 20
    for name in ("train.jsonl", "canaries.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        plant.run(plan, tmp_path / "one", copies=(1,), each=2, seed=3)


def test_what_was_learnt_by_heart_shows_in_the_adapter_alone(
    tough_plan: Make, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The planted canary comes first of 31, rows are continued, and the report has no text."""
    train.run(tough_plan("a", f"data.path={copy}", *LEARN))
    folder = tmp_path / "out/a"
    found = audit_memory.run(folder, QUICK)
    control, planted = found["canaries"]["each"]
    assert planted["rank"]["adapter"] == 1
    assert planted["exposure"]["adapter"] == found["canaries"]["max_exposure"]
    assert found["extraction"]["adapter"]["extracted"] > found["extraction"]["base"]["extracted"]
    assert found["adapter_sha256"] == sha256_file(folder / "final/adapter_model.safetensors")
    shown = capsys.readouterr().out
    assert "exposure in bits" in shown
    report = (folder / "memory-audit.json").read_bytes()
    for text in (secret(3, 1), secret(3, 0), "doctor", "pain"):
        assert text not in shown
        assert text.encode() not in report
    again = audit_memory.run(folder, Settings(**{**vars_of(QUICK), "batch_size": 31}))
    assert (folder / "memory-audit.json").read_bytes() == report
    assert again == found
    assert hashlib.sha256(report).hexdigest() == sha256_file(folder / "memory-audit.json")
    refused(folder, copy, tmp_path)
    assert control["copies"] == 0


def vars_of(settings: Settings) -> dict:
    """The settings as arguments."""
    return {name: getattr(settings, name) for name in Settings.__slots__}


def refused(folder: Path, copy: Path, tmp_path: Path) -> None:
    """Canaries of other data, none at all where some were named, and other data."""
    other = json.loads((copy / "canaries.json").read_bytes()) | {"train_sha256": "0"}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="belongs to data other than"):
        audit_memory.run(folder, QUICK, canaries=tmp_path / "other.json")
    with pytest.raises(MissingPartError, match=r"none\.json: no such file"):
        audit_memory.run(folder, QUICK, canaries=tmp_path / "none.json")
    (copy / "eval.jsonl").write_bytes(b'{"prompt": "x", "response": "y"}\n')
    with pytest.raises(ConfigError, match="inputs are not those of the run"):
        audit_memory.run(folder, QUICK)


def test_without_canaries_rows_are_continued_all_the_same(
    tough_plan: Make, data_file: Path, tmp_path: Path
) -> None:
    """Any finished run can be audited; the report goes where it is wanted."""
    train.run(tough_plan("a", "training.max_steps=1"))
    found = audit_memory.run(tmp_path / "out/a/final", QUICK, out=tmp_path / "report.json")
    assert found["canaries"] is None
    assert found["extraction"]["rows"] == 6
    assert json.loads((tmp_path / "report.json").read_bytes()) == found
    assert data_file.is_file()
