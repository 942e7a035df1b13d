"""The front door: light, clear, and always the right exit code."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MEDLORA = Path(sys.executable).parent / "medlora"
ROOT = Path(__file__).parents[1]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the console script in a clean environment."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environ}
    return subprocess.run(
        [MEDLORA, *arguments], capture_output=True, text=True, env=env, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help and version answer without torch, transformers, peft, accelerate or pydantic."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['medlora', *{arguments!r}]\n"
        "try:\n    from medlora.cli import run; run()\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'transformers', 'peft', 'accelerate', 'numpy', 'pydantic'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", ["card", "diff", "model_pack", "report", "scan", "verify", "version"]
)
def test_what_only_reads_files_needs_no_torch(command: str) -> None:
    """Importing it takes longer than what these do."""
    heavy = "{'torch', 'transformers', 'peft', 'accelerate'}"
    code = f"import sys, medlora.jobs.{command}\nassert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_error_in_the_config_does_not_import_torch(tmp_path: Path) -> None:
    """A wrong key is reported before anything slow happens."""
    config = tmp_path / "run.yaml"
    config.write_text("lora:\n  rank: 8\n")
    code = (
        "import sys\n"
        f"sys.argv = ['medlora', 'config', '--config', {str(config)!r}]\n"
        "from medlora.cli import run\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n    assert end.code == 78, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_suite_that_cannot_be_read_does_not_import_torch(tmp_path: Path) -> None:
    """Rows of no kind are told at once, with 65."""
    suite = tmp_path / "suite.jsonl"
    suite.write_text('{"zebrafinch": 1}\n')
    code = (
        "import sys\n"
        f"at, suite = {str(tmp_path)!r}, {str(suite)!r}\n"
        "sys.argv = ['medlora', 'evaluate', '--model', at, '--suite', suite]\n"
        "from medlora.cli import run\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n    assert end.code == 65, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "suite.jsonl:1: no kind of suite has these fields" in done.stderr
    assert "zebrafinch" not in done.stderr


def test_doctor_reads_the_environment_without_torch() -> None:
    """The place as JSON, with nothing heavy imported; a contradiction ends with 78."""
    code = (
        "import sys\n"
        "sys.argv = ['medlora', 'doctor', '--json']\n"
        "from medlora.cli import run\n"
        "try:\n    run()\n"
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


def test_the_entrypoint_is_the_same_program() -> None:
    """Runtimes that skip ENTRYPOINT, and people who start the file, get one and the same."""
    script = Path(__file__).parents[1] / "entrypoint.py"
    done = subprocess.run(
        [sys.executable, script, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == run("--version").stdout
    assert done.stdout.startswith("medlora, version ")


def test_usage_errors_end_with_2() -> None:
    """An unknown option is a usage error, said in one line, without a traceback."""
    done = run("train", "--dta", "x")
    assert done.returncode == 2
    assert "No such option" in done.stderr
    assert "Traceback" not in done.stderr


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


def test_a_bug_ends_with_70_and_keeps_its_message_to_itself() -> None:
    """An unexpected exception shows where; what it says may quote a row, so only on request."""
    code = (
        "import sys\n"
        "from medlora import cli\n"
        "from medlora.plan import resolve as module\n"
        "def broken(*_, **__): raise RuntimeError('Patient 4711 has a rash')\n"
        "module.resolve = broken\n"
        "sys.argv = ['medlora', 'config']\n"
        "cli.main()\n"
    )
    for request, shown in (({}, False), ({"MEDLORA_SHOW_BUG_MESSAGES": "1"}, True)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", **request},
        )
        assert done.returncode == 70
        assert "RuntimeError: a bug in MedLoRA" in done.stderr
        assert ("4711" in done.stderr + done.stdout) == shown


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


def test_scan_ends_with_77_and_tells_no_text(tmp_path: Path) -> None:
    """Findings by place on standard output, the policy on standard error, torch not imported."""
    file = tmp_path / "a.jsonl"
    file.write_text('{"question": "MRN 12345678", "response": "see Dr. Osterhagen"}\n')
    mapping = ("--set", "data.columns.prompt=question")
    done = run("scan", str(file), *mapping)
    assert done.returncode == 77
    assert f"{file}:1:19: field 'question': MRN" in done.stdout
    assert "fix: --redact OUT" in done.stderr
    assert not any(text in done.stdout + done.stderr for text in ("12345678", "Osterhagen"))
    accepted = run("scan", str(file), *mapping, "--set", "data.privacy=warn")
    assert accepted.returncode == 0
    redacted = run("scan", str(file), *mapping, "--redact", str(tmp_path / "b.jsonl"))
    assert redacted.returncode == 0
    assert "[MRN]" in (tmp_path / "b.jsonl").read_text()


HOSTILE = "a\x1b]0;x\x07\nerror: forged \u202egpj"
SPELT = r"a\x1b]0;x\x07\nerror: forged \u202egpj"


def test_no_name_reaches_a_terminal_as_it_is(tmp_path: Path) -> None:
    """A folder's, a file's, a column's, a key's, an option's: on both streams."""
    folder = tmp_path / HOSTILE
    folder.mkdir()
    column = json.dumps({"question": "q", HOSTILE: "a"})
    (folder / f"{HOSTILE}.jsonl").write_text(column + "\n")
    (tmp_path / "run.yaml").write_text(json.dumps({HOSTILE: 1, "lora": {HOSTILE: 1}}))
    scan = ("scan", str(folder), "--set", f"data.columns.prompt={HOSTILE}")
    for arguments, code in (
        ((*scan, "--set", "data.privacy=off"), 0),
        (("scan", str(folder / "none")), 69),
        (("scan", str(folder), "--json", str(folder / f"{HOSTILE}.jsonl")), 78),
        (("config", "--config", str(tmp_path / "run.yaml")), 78),
        (("config", "--set", f"{HOSTILE}=1"), 78),
        (("config", "--explain", HOSTILE), 78),
        (("verify", str(folder)), 69),
        (("report", f"--{HOSTILE}"), 2),
    ):
        done = run(*arguments)
        told = done.stdout + done.stderr
        assert done.returncode == code, told
        assert code == 0 or SPELT in told or "\\nerror: forged" in told, told
        assert not any(char in told for char in "\x1b\x07\u202e"), arguments
        assert "\nerror: forged" not in told


def test_every_job_is_a_command() -> None:
    """A module of `jobs` is one that the command line names; what several share is below."""
    source = (ROOT / "medlora/cli.py").read_text(encoding="utf-8")
    named = set(re.findall(r"from medlora\.jobs import (\w+)", source))
    assert {file.stem for file in (ROOT / "medlora/jobs").glob("[!_]*.py")} == named
