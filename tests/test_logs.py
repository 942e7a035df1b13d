"""Our lines are shown, foreign ones are not."""

import subprocess
import sys

CODE = """
import logging
from medlora import logs
logs.set_up()
logs.logger("medlora.jobs.train").info("ours %d", 1)
logs.logger("medlora.jobs.train").warning("careful")
logging.getLogger("foreign").warning("theirs")
"""


def test_only_our_own_lines_reach_standard_error() -> None:
    """A warning of ours carries its level; other loggers are silent."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stderr == "ours 1\nwarning: careful\n"
    assert done.stdout == ""
