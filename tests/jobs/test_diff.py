"""Two real runs compared: on the terminal, as JSON, as a document; the same bytes each time."""

import json
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.cli import cli
from medlora.errors import MissingPartError
from medlora.jobs import diff, train

pytestmark = pytest.mark.slow


def test_two_runs_differ_in_what_was_changed_and_came_of_it(
    tough_plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rank and name are told with their origins, the data is the same; twice gives the same."""
    for name, rank in (("a", 4), ("b", 2)):
        train.run(tough_plan(name, f"lora.r={rank}", "training.max_steps=2"))
    a, b = (tmp_path / "out" / name for name in "ab")
    capsys.readouterr()
    (tmp_path / "said.yaml").write_text("change_reason: half the rank\n")
    written = []
    for number in (1, 2):
        files = [tmp_path / f"{number}.{form}" for form in ("json", "md")]
        arguments = [str(a), str(b / "final"), "--json", str(files[0]), "--output", str(files[1])]
        cli(
            ["diff", *arguments, "--statements", str(tmp_path / "said.yaml")], standalone_mode=False
        )
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    record = json.loads(written[0][0])
    assert {one["key"] for one in record["config"]} == {"run_name", "lora.r"}
    assert not record["same_adapter"]
    assert not record["data"]["files"]["train"]["changed"]
    assert not record["base"]["changed"]
    assert all(one["same_rows"] for one in record["losses"])
    assert record["runs"]["b"]["manifest_sha256"] == read_manifest(b / "final")["sha256"]
    out = capsys.readouterr().out
    assert "4 (option --set lora.r)" in out
    assert "2 (option --set lora.r)" in out
    assert b"half the rank" in written[0][1]
    assert str(tmp_path).encode() not in written[0][1]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """69, with its name."""
    with pytest.raises(MissingPartError, match="not there"):
        diff.run(tmp_path / "a", tmp_path / "b")
