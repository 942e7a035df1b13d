"""`train` from the command line."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.console import MEDLORA, run


@pytest.mark.slow
def test_train_ends_to_end_from_the_command_line(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """Files in, adapter and manifest out; a second start changes nothing and ends with 0."""
    arguments = [
        "train",
        *("--config", "recommended"),
        *("--data", str(data_file)),
        *("--model", str(base_folder)),
        *("--checkpoints", str(tmp_path / "out")),
        *("--set", "training.num_train_epochs=1"),
        *("--set", "training.warmup_steps=1"),
        *("--set", "run_name=small"),
    ]
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    final = tmp_path / "out/small/final"
    manifest = json.loads((final / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["demo"] is False
    assert "DEMO" not in done.stdout
    assert "warning" not in done.stderr.lower()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = run(*arguments)
    assert again.returncode == 0
    assert "finished already" in again.stdout
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_loading_ends_at_once_with_143(
    tmp_path: Path, data_file: Path, base_folder: Path, number: int
) -> None:
    """Nothing is there to be lost, so nothing is waited for; no traceback."""
    arguments = ("--data", str(data_file), "--model", str(base_folder), "--config", "recommended")
    with subprocess.Popen(
        [MEDLORA, "train", *arguments, "--checkpoints", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert next(lines).startswith("place: ")  # before torch is
        assert any(line.startswith("run run, device") for line in lines)  # torch is imported
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == 143
    assert f"stopped by {signal.Signals(number).name}" in rest
    assert "Traceback" not in rest
