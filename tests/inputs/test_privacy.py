"""A training looks at its rows first: what the policy refuses ends it before anything is kept."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.data.privacy import files
from medlora.errors import DataError, RejectedError, StorageError
from medlora.inputs import privacy
from medlora.inputs.prepare import TOKENS, find_files, find_inputs
from medlora.inputs.privacy import SCANS, check_privacy, scan_files
from medlora.jobs import train
from medlora.logs import set_up
from medlora.plan.resolve_run import Plan
from medlora.report.audit import _privacy_page

Make = Callable[..., Plan]
SECRETS = ("12345678", "Hildegard", "2019")


def check(plan: Plan) -> dict[str, object]:
    """What a run of this plan would state of its scan."""
    return check_privacy(*find_files(plan), plan.resolved.config)


@pytest.fixture
def private_rows(data_file: Path) -> Path:
    """The data with a record number and a date in line 13, a name in line 14."""
    with data_file.open("a") as stream:
        row = {"prompt": "MRN 12345678, seen 3/4/2019", "response": "rest"}
        stream.write(json.dumps(row) + "\n")
        stream.write(json.dumps({"prompt": "how is your wife Hildegard", "response": "ok"}) + "\n")
    return data_file


def test_structured_identifiers_refuse_a_run_and_leave_nothing(
    tough_plan: Make, private_rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By file, line, column, field and class; never by text; no tokens are kept."""
    with pytest.raises(RejectedError) as error:
        train.run(tough_plan("a"))
    said = str(error.value)
    assert "1 DATE, 1 MRN" in said
    assert "2 problems" in said
    assert f"{private_rows}:13:17: field 'prompt': MRN" in said
    assert "NAME" not in said
    assert f"medlora scan {private_rows} --redact OUT" in said
    assert not any(secret in said + caplog.text for secret in SECRETS)
    assert not (tmp_path / "out" / TOKENS).exists()
    kept = "".join(path.read_text() for path in (tmp_path / "out" / SCANS).iterdir())
    assert not any(secret in kept for secret in SECRETS)


def test_what_a_policy_accepts_is_counted_in_the_manifest(
    tough_plan: Make, private_rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Policy, scanner and counts by class; a warning says the same."""
    train.run(tough_plan("a", "data.privacy=warn", "training.max_steps=1"))
    manifest = json.loads((tmp_path / "out/a/final/manifest.json").read_text())
    stated = manifest["data"]["privacy"]
    assert stated["policy"] == "warn"
    assert stated["scanner"]["version"] == 1
    assert stated["files"]["train"] == {
        "rows": 14,
        "rows_with": 2,
        "counts": {"NAME": 1, "DATE": 1, "MRN": 1},
    }
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any("1 NAME, 1 DATE, 1 MRN (2 of 14 rows)" in text for text in warnings)
    assert not any(secret in json.dumps(manifest) + caplog.text for secret in SECRETS)


def test_names_and_places_warn_under_block(tough_plan: Make, write_jsonl, rows) -> None:
    """Lists and context tell them, so they refuse nothing."""
    rows[3]["prompt"] = "my wife Hildegard from Albuquerque has pain"
    write_jsonl("data/train.jsonl", rows)
    assert check(tough_plan("a"))["files"]["train"]["counts"] == {"NAME": 1, "LOCATION": 1}


def test_off_looks_at_nothing(tough_plan: Make, private_rows: Path, tmp_path: Path) -> None:
    """And says so."""
    assert check(tough_plan("a", "data.privacy=off")) == {"policy": "off"}
    assert not (tmp_path / "out" / SCANS).exists()


def test_a_second_start_scans_nothing_unless_something_changed(
    tough_plan: Make, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for another run; an edited file, other columns and another scanner are scanned."""
    scanned: list[str] = []
    original = privacy.scan_file

    def counting(file: Path, *arguments: object, **options: object) -> object:
        scanned.append(file.name)
        return original(file, *arguments, **options)

    monkeypatch.setattr(privacy, "scan_file", counting)
    first = check(tough_plan("a"))
    assert check(tough_plan("b", "data.eval_fraction=0.5")) == first
    assert scanned == ["train.jsonl"]
    check(tough_plan("a", "data.columns.system=tone"))
    assert len(scanned) == 2
    stat = data_file.stat()
    data_file.write_bytes(data_file.read_bytes().replace(b"rest", b"best", 1))
    os.utime(data_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    check(tough_plan("a"))
    assert len(scanned) == 3
    monkeypatch.setattr(privacy, "scanner_facts", lambda: {"version": 2, "sha256": "x"})
    check(tough_plan("a"))
    assert len(scanned) == 4


def test_a_kept_result_that_was_edited_is_not_believed(
    tough_plan: Make, private_rows: Path, tmp_path: Path
) -> None:
    """Counts set to nothing: the file is scanned again and refused."""
    with pytest.raises(RejectedError):
        check(tough_plan("a"))
    (kept,) = (tmp_path / "out" / SCANS).iterdir()
    stated = json.loads(kept.read_text())
    kept.write_text(json.dumps({**stated, "counts": {}, "first_structured": []}))
    with pytest.raises(RejectedError):
        check(tough_plan("a"))


def test_both_files_are_scanned(tough_plan: Make, write_jsonl, data_file: Path) -> None:
    """An identifier in the evaluation rows refuses the run too."""
    write_jsonl("data/eval.jsonl", [{"prompt": "SSN 123-45-6789", "response": "rest"}])
    with pytest.raises(RejectedError, match=r"eval.jsonl:1:17: field 'prompt': SSN"):
        check(tough_plan("a", f"data.path={data_file.parent}", "data.eval_file=eval.jsonl"))


def test_a_broken_line_is_left_to_whoever_reads_the_rows(
    tough_plan: Make, private_rows: Path
) -> None:
    """One list of what is wrong, not two."""
    with private_rows.open("a") as stream:
        stream.write("{\n")
    with pytest.raises(DataError, match=r"train.jsonl:15: not JSON"):
        train.run(tough_plan("a"))


@pytest.mark.parametrize("broken", [b"{\n", b'{"prompt": "\xe4"}\n', b"\x1f\x8b"])
def test_a_file_that_cannot_be_read_is_not_scanned(
    tough_plan: Make, private_rows: Path, capsys: pytest.CaptureFixture[str], broken: bytes
) -> None:
    """It is not said that nothing was found there, neither in the log nor in the report."""
    content = private_rows.read_bytes()
    private_rows.write_bytes(broken + content)
    cfg = tough_plan("a").resolved.config
    found, sha256 = find_files(tough_plan("a"))
    set_up()
    scanned = scan_files(found, sha256, cfg)
    said = capsys.readouterr().err
    assert "train.jsonl is not scanned: it cannot be read as rows" in said
    assert "not found" not in said
    facts = scanned.facts()
    assert facts["files"]["train"]["scanned"] is False
    page = "\n".join(_privacy_page({"privacy": facts}))
    assert page == "identifiers in train: not scanned"


def test_a_file_that_changes_meanwhile_is_refused(
    tough_plan: Make, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result is kept under the digest of what was scanned, or not at all."""
    input_files = find_inputs(tough_plan("a"))
    monkeypatch.setattr(files, "PIECE_BYTES", 100)
    with data_file.open("a") as stream:
        stream.write('{"prompt": "pain", "response": "rest"}\n')
    with pytest.raises(StorageError, match="changed while it was read"):
        check_privacy(input_files.data, input_files.sha256, tough_plan("a").resolved.config)


def test_few_results_are_kept(tough_plan: Make, data_file: Path, tmp_path: Path) -> None:
    """The newest of each file's contents."""
    for number in range(20):
        with data_file.open("a") as stream:
            stream.write(json.dumps({"prompt": f"pain {number}", "response": "rest"}) + "\n")
        check(tough_plan("a"))
    assert len(list((tmp_path / "out" / SCANS).iterdir())) == 16
