"""`scan` from the command line."""

from pathlib import Path

from tests.cli.console import run


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
