"""Our lines are shown, foreign ones are not."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from medlora import logs
from medlora.errors import MissingPartError

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


@pytest.fixture
def logger_as_it_was() -> Iterator[None]:
    """Whatever a test sets up is gone behind it."""
    ours = logging.getLogger(logs.LOGGER)
    before = ours.handlers, ours.level, ours.propagate
    yield
    ours.handlers, ours.level, ours.propagate = before


@pytest.mark.usefixtures("logger_as_it_was")
def test_no_name_forges_a_line_or_moves_a_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """In plain lines and in JSON, in logs, results and errors; other letters stay readable."""
    name = "Übung\x1b]0;x\x07\nwarning: forged\u202e"
    shown = r"Übung\x1b]0;x\x07\nwarning: forged\u202e"
    for form in ("text", "json"):
        logs.set_up(form)
        logs.logger("test").info("data %s", name, extra={"fields": {"file": name}})
        logs.say(f"report: {name}")
        error = MissingPartError(f"{name}: not there", fix="mount it")
        logs.complain(error.problem, fix=error.fix, exit_code=error.exit_code)
        out, err = capsys.readouterr()
        lines = f"{out}{err}".splitlines()
        assert len(lines) == (4 if form == "text" else 3)
        told = lines if form == "text" else [str(json.loads(line)) for line in lines]
        assert all(shown.replace("\\", "\\" * (1 + (form == "json"))) in one for one in told[:3])
        assert not any(char in one for one in told for char in "\x1b\x07\u202e")
    logs.set_up()
    logs.show(name, err=True)
    assert capsys.readouterr().err == f"{shown}\n"
