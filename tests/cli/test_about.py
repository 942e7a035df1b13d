"""`config` and `doctor`: what a run would use, and where it would be."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.console import run


def test_an_error_in_the_config_does_not_import_torch(tmp_path: Path) -> None:
    """A wrong key is reported before anything slow happens."""
    config = tmp_path / "run.yaml"
    config.write_text("lora:\n  rank: 8\n")
    code = (
        "import sys\n"
        f"sys.argv = ['medlora', 'config', '--config', {str(config)!r}]\n"
        "from medlora.cli import cli, process\n"
        "try:\n    process.run_command(cli, guarded=False)\n"
        "except SystemExit as end:\n    assert end.code == 78, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_doctor_reads_the_environment_without_torch() -> None:
    """The place as JSON, with nothing heavy imported; a contradiction ends with 78."""
    code = (
        "import sys\n"
        "sys.argv = ['medlora', 'doctor', '--json']\n"
        "from medlora.cli import cli, process\n"
        "try:\n    process.run_command(cli, guarded=False)\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    for variables, ends in (({}, "0 False"), ({"RANK": "1", "WORLD_SIZE": "1"}, "78 False")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "7", **variables},
        )
        assert done.stderr.endswith(f"{ends}\n")
        if not variables:
            assert json.loads(done.stdout)["platform"] == "slurm"


def test_an_unknown_key_names_file_line_and_the_nearest_key(tmp_path: Path) -> None:
    """A misspelt key ends with 78 and says where it is and what was meant."""
    config = tmp_path / "run.yaml"
    config.write_text("training:\n  seed: 1\n  learning_ratee: 1e-4\n")
    done = run("config", "--config", str(config))
    assert done.returncode == 78
    assert f"{config}:3:3: unknown key training.learning_ratee" in done.stderr
    assert "did you mean training.learning_rate?" in done.stderr


def test_config_shows_each_value_with_its_origin(tmp_path: Path) -> None:
    """Default, file, variable and option are told apart, and the strongest wins."""
    config = tmp_path / "run.yaml"
    config.write_text("lora:\n  r: 8\n  lora_alpha: 12\ntraining:\n  learning_rate: 1e-3\n")
    done = run(
        "config",
        "--config",
        str(config),
        "--set",
        "training.learning_rate=2e-4",
        MEDLORA_LORA__LORA_ALPHA="24",
        MEDLORA_TRAINING__LEARNING_RATE="5e-4",
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split(":")[0].strip(): line for line in done.stdout.splitlines()}
    assert lines["r"].split() == ["r:", "8", "#", f"{config}:2"]
    assert lines["lora_alpha"].split()[1:] == ["24", "#", "variable", "MEDLORA_LORA__LORA_ALPHA"]
    assert lines["learning_rate"].split("#")[0].split() == ["learning_rate:", "0.0002"]
    assert "option --set training.learning_rate" in lines["learning_rate"]
    assert lines["weight_decay"].endswith("# default")
