"""How far it is from the command line to the gradient."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MOST = 8
# Ends at the first backward pass, and prints whose calls lead there.
TRACED = """
import json, sys
from pathlib import Path
from accelerate import Accelerator

def backward(self, loss, **kwargs):
    frame, ours = sys._getframe(1), []
    while frame:
        path = Path(frame.f_code.co_filename)
        if "medlora" in path.parts[:-1] and "site-packages" not in path.parts:
            ours.append(f"{path.stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    print(json.dumps(ours[::-1]), flush=True)
    sys.exit(0)

Accelerator.backward = backward
from medlora.cli import main
main()
"""


@pytest.mark.slow
def test_few_calls_lead_from_the_command_line_to_the_gradient(tmp_path: Path) -> None:
    """A reader gets from `medlora train` to the backward pass by a handful of our own calls."""
    command = [sys.executable, "-c", TRACED, "train", "--checkpoints", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = json.loads(done.stdout.splitlines()[-1])
    assert calls[0] == "process.run_command"
    assert calls[-1].startswith("loop.")
    assert len(calls) <= MOST, calls
