"""The front door: light, clear, and always the right exit code."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.console import ROOT, run


def test_the_entrypoint_is_the_same_program() -> None:
    """Runtimes that skip ENTRYPOINT, and people who start the file, get one and the same."""
    script = ROOT / "entrypoint.py"
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


def test_a_bug_ends_with_70_and_keeps_its_message_to_itself() -> None:
    """An unexpected exception shows where; what it says may quote a row, so only on request."""
    code = (
        "import sys\n"
        "from medlora import cli\n"
        "from medlora.plan import resolve_run as module\n"
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
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        assert code == 0 or SPELT in printed or "\\nerror: forged" in printed, printed
        assert not any(char in printed for char in "\x1b\x07\u202e"), arguments
        assert "\nerror: forged" not in printed
