"""`medlora scan`: places and classes on paper, no text anywhere, and the data left alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.config import ColumnsConfig, DataConfig
from medlora.errors import ConfigError, DataError, MissingPartError, RejectedError
from medlora.jobs import scan

ROWS = [
    {"prompt": "MRN 12345678 in Albuquerque, NM", "response": "a\tb", "id": "MRN 12345678"},
    {"prompt": "is it bad", "response": "Call Dr. Hildegard Osterhagen on 2020-05-06."},
]
SECRETS = ("12345678", "Albuquerque", "Hildegard", "Osterhagen", "2020-05-06")
WARN = DataConfig(privacy="warn")


@pytest.fixture
def data(write_jsonl: Callable[..., Path]) -> Path:
    """Two rows with four identifiers in the fields that training reads."""
    return write_jsonl("in/a.jsonl", ROWS)


def run(data: Path, cfg: DataConfig = WARN, **outputs: Path | None) -> None:
    """Scan."""
    scan.run(
        data,
        cfg,
        json_out=outputs.get("json_out"),
        redact_out=outputs.get("redact_out"),
    )


def test_places_and_classes_are_printed_and_no_text(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """file:line:column and field, counts by class, what the scanner cannot see."""
    run(data)
    out = capsys.readouterr().out
    assert f"{data}:1:17: field 'prompt': MRN" in out
    assert "4 identifiers found by this scanner (version 1) in 2 of 2 rows; recall on" in out
    assert "Q photographs" in out
    assert "P finger and voice prints" in out
    assert "de-identified" not in out
    assert not any(secret in out for secret in SECRETS)


def test_many_findings_are_counted_not_listed(
    write_jsonl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty, then how many more."""
    run(write_jsonl("b.jsonl", ROWS * 20))
    out = capsys.readouterr().out
    assert out.count("field '") == 20
    assert "and 60 more (--json OUT writes all)" in out


def test_json_has_one_line_a_finding_with_offsets_in_the_field(data: Path, tmp_path: Path) -> None:
    """Whoever has the data can look them up; the lines alone say nothing."""
    run(data, json_out=tmp_path / "o.jsonl")
    content = (tmp_path / "o.jsonl").read_text()
    found = [json.loads(line) for line in content.splitlines()]
    assert [list(one) for one in found] == [["file", "line", "field", "start", "end", "label"]] * 4
    texts = [ROWS[one["line"] - 1][one["field"]][one["start"] : one["end"]] for one in found]
    assert texts == ["12345678", "Albuquerque, NM", "Dr. Hildegard Osterhagen", "2020-05-06"]
    assert not any(secret in content for secret in SECRETS)


def test_a_redacted_copy_passes_and_differs_in_the_findings_alone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other fields stay; the scan of the copy finds nothing under the strict policy."""
    before = data.read_bytes()
    copy = tmp_path / "copy.jsonl"
    run(data, DataConfig(), redact_out=copy)
    rows = [json.loads(line) for line in copy.read_text().splitlines()]
    assert rows[0] == {**ROWS[0], "prompt": "MRN [MRN] in [LOCATION]"}
    assert rows[1]["response"] == "Call [NAME] on [DATE]."
    capsys.readouterr()
    run(copy, DataConfig())
    assert "identifiers not found by this scanner" in capsys.readouterr().out
    assert data.read_bytes() == before


def test_a_folder_is_scanned_and_copied_file_by_file(
    data: Path, write_jsonl, tmp_path: Path
) -> None:
    """Every .jsonl in it, under its own name."""
    write_jsonl("in/b.jsonl", ROWS[1:])
    run(data.parent, json_out=tmp_path / "o.jsonl", redact_out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jsonl", "b.jsonl"]
    lines = (tmp_path / "o.jsonl").read_text().splitlines()
    files = {json.loads(line)["file"] for line in lines}
    assert files == {str(data.parent / "a.jsonl"), str(data.parent / "b.jsonl")}


def test_structured_identifiers_are_refused_under_block(data: Path) -> None:
    """As a training of the same data would."""
    with pytest.raises(
        RejectedError, match=r": 2 identifiers in classes that data\.privacy: block refuses"
    ):
        run(data, DataConfig())


def test_mapped_columns_are_read(write_jsonl, capsys: pytest.CaptureFixture[str]) -> None:
    """The same mapping as training's; other fields are not looked at."""
    file = write_jsonl(
        "c.jsonl", [{"question": "MRN 12345678", "answer": "a", "id": "MRN 1234567"}]
    )
    run(file, DataConfig(privacy="warn", columns=ColumnsConfig(prompt="question")))
    assert "1 identifiers found" in capsys.readouterr().out


def test_the_data_is_never_written_over(data: Path, tmp_path: Path) -> None:
    """Nor two outputs over each other; nothing is written then."""
    for outputs in (
        {"redact_out": data},
        {"redact_out": data.parent},
        {"json_out": data},
        {"json_out": tmp_path / "o", "redact_out": tmp_path / "o"},
    ):
        with pytest.raises(ConfigError, match="would be overwritten"):
            run(data, **outputs)
    assert not (tmp_path / "o").exists()


def test_a_broken_file_leaves_no_half_of_a_copy(data: Path, tmp_path: Path) -> None:
    """65 with the line; neither findings nor copy appear."""
    with data.open("a") as stream:
        stream.write("{\n")
    with pytest.raises(DataError, match=r"a.jsonl:3: not JSON"):
        run(data, json_out=tmp_path / "o.jsonl", redact_out=tmp_path / "copy.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_nothing_to_scan_is_a_missing_part(tmp_path: Path) -> None:
    """A wrong path, or a folder without data."""
    for path in (tmp_path / "no", tmp_path):
        with pytest.raises(MissingPartError):
            run(path)
