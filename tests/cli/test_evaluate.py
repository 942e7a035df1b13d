"""`evaluate` from the command line."""

import subprocess
import sys
from pathlib import Path


def test_a_suite_that_cannot_be_read_does_not_import_torch(tmp_path: Path) -> None:
    """Rows of no kind are told at once, with 65."""
    suite = tmp_path / "suite.jsonl"
    suite.write_text('{"zebrafinch": 1}\n')
    code = (
        "import sys\n"
        f"at, suite = {str(tmp_path)!r}, {str(suite)!r}\n"
        "sys.argv = ['medlora', 'evaluate', '--model', at, '--suite', suite]\n"
        "from medlora.cli import cli, process\n"
        "try:\n    process.run_command(cli, guarded=False)\n"
        "except SystemExit as end:\n    assert end.code == 65, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "suite.jsonl:1: these fields match no kind of suite" in done.stderr
    assert "zebrafinch" not in done.stderr
