"""A live view on a terminal, lines elsewhere, JSON on request; the same numbers everywhere."""

import json
import logging
import os
import pty
import re
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rich.live import Live

from medlora import logs
from medlora.report.progress_display import ProgressView
from medlora.report.progress_snapshot import clock
from medlora.train.loop import StepResult
from tests.report.screens import Screen


def result(step: int) -> StepResult:
    """A step with loss 1 / step."""
    return StepResult(step, step / 4, 1 / step, 1e-4, 0.5, tokens=100, targets=50)


@pytest.fixture(autouse=True)
def _no_handlers() -> Iterator[None]:
    yield
    logging.getLogger(logs.LOGGER).handlers.clear()


def ticking(*, step_s: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds whenever it is read."""
    readings = iter(range(10**6))
    return lambda: next(readings) * step_s


def view(**wishes: object) -> ProgressView:
    """A view of a run of eight steps in two epochs, ten seconds a step."""
    given = {"clock": ticking(step_s=10), "terminal": False, **wishes}
    return ProgressView(name="mine", total_steps=8, epochs=2, **given)  # type: ignore[arg-type]


def test_lines_come_every_so_many_seconds_and_at_both_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first step, one every 30 s of the clock, and the last step."""
    logs.set_up(interval_s=30)
    with view() as progress:
        for step in range(1, 9):
            progress.show(result(step), trained_s=step)
    lines = capsys.readouterr().err.splitlines()
    steps = [line.split("  ")[0] for line in lines]
    assert steps[0] == "step 1/8"
    assert steps[-1] == "step 8/8"
    assert 2 < len(steps) < 8
    assert "epoch 2.00  loss 0.1250  avg 0.3397  lr 1.00e-04" in lines[-1]
    assert lines[-1].endswith("0:00:00 left")
    assert "  100 tokens/s  " in lines[-1]  # of the seconds in steps, not of those between


def test_json_lines_have_the_numbers_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, whatever is logged; the view stays away, also from a terminal."""
    logs.set_up("json", interval_s=1)
    with view(memory=lambda: {"memory_bytes": 5.0}, terminal=None) as progress:
        progress.evaluated(0, 3.0)
        progress.evaluated(1, 2.0)
        progress.saved("step_1")
        progress.show(result(1), trained_s=1)
    logs.say("finished")
    logs.complain("it broke", fix="mend it", exit_code=74)
    captured = capsys.readouterr()
    first, said, why = (json.loads(line) for line in captured.err.splitlines())
    assert captured.out == ""
    assert first["event"] == "progress"
    assert (first["step"], first["total_steps"], first["loss"]) == (1, 8, 1.0)
    assert (first["eval_loss"], first["checkpoint"], first["memory_bytes"]) == (2.0, "step_1", 5.0)
    assert first["eta_s"] > 0
    assert said["message"] == "finished"
    assert (why["message"], why["fix"], why["exit_code"]) == ("it broke", "mend it", 74)
    assert {first["level"], said["level"], why["level"]} == {"info", "error"}


def test_another_worker_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """It counts all the same."""
    logs.set_up(interval_s=1)
    with view(show=False) as progress:
        progress.show(result(1), trained_s=1)
    assert capsys.readouterr().err == ""
    assert progress.seen.step == 1


def test_a_terminal_shows_the_run_and_lines_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real pseudo-terminal: bars, time left, loss, speed, memory, the last of each kind."""
    screen = on_terminal(monkeypatch, capsys, colours=True)
    last = screen.split("\x1b[2K")  # rich erases each line before it draws it anew
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert len(last) > 1
    assert "checkpoint step_4 is committed" in text
    for part in (
        "mine",
        "step 8 of 8",
        "100%",
        "2 of 2",
        "0:00:00 left",
        "0.1250 nats a token",
        "tokens/s",
        "1.00 GiB, 2.00 at most",
        "step 4: 2.0000 nats a token (the best so far, base 3.0000)",
        "step_4, ",
    ):
        assert part in text
    assert "\x1b[?25h" in screen  # the cursor is there again


def on_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, colours: bool
) -> str:
    """Show a whole run on a pseudo-terminal of 100 columns; return what came out of it."""
    monkeypatch.setenv("TERM", "xterm-256color" if colours else "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    leader, follower = pty.openpty()
    memory = {"memory_bytes": 2.0**30, "memory_peak_bytes": 2.0**31}
    with capsys.disabled(), os.fdopen(follower, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        logs.set_up()
        with view(terminal=None, memory=lambda: memory) as progress:
            progress.evaluated(0, 3.0)
            for step in range(1, 9):
                progress.show(result(step), trained_s=step)
                if step == 4:
                    progress.evaluated(4, 2.0)
                    progress.saved("step_4")
                    logs.logger("medlora.x").info("checkpoint step_4 is committed")
        terminal.flush()
        return drained(leader)


def drained(leader: int) -> str:
    """Return what a terminal was sent; its other end stays open meanwhile."""
    try:
        return sent_so_far(leader)
    finally:
        os.close(leader)


def sent_so_far(leader: int) -> str:
    """Return what a terminal was sent since it was asked last."""
    os.set_blocking(leader, False)
    parts = []
    with suppress(BlockingIOError):
        while part := os.read(leader, 1 << 16):
            parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize("reflows", [True, False])
@pytest.mark.parametrize("columns", [48, 70, 150])
def test_a_terminal_of_another_width_has_one_picture(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    columns: int,
    reflows: bool,
) -> None:
    """From 120 columns on; no torn copy of the old one is left, whatever becomes of its lines."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)
    seldom = {"refresh_per_second": 1e-3}  # drawn when something is logged alone
    monkeypatch.setattr(
        "medlora.report.progress_display.Live", lambda **given: Live(**(given | seldom))
    )
    leader, follower = pty.openpty()
    screen, log = Screen(120, reflows=reflows), logs.logger("medlora.x")
    with capsys.disabled(), os.fdopen(follower, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr("rich.console._STD_STREAMS", (terminal.fileno(),))
        termios.tcsetwinsize(terminal, (40, 120))
        logs.set_up()
        with view(terminal=None) as progress:
            for number in range(30):
                log.info("line %d", number)
                screen.feed(sent_so_far(leader))  # a terminal that nobody reads takes no more
            progress.evaluated(0, 3.0)
            progress.evaluated(4, 2.0)
            progress.show(result(4), trained_s=4)
            log.info("before")
            screen.feed(sent_so_far(leader))
            assert sum("tokens/s" in row for row in screen.rows()) == 1
            termios.tcsetwinsize(terminal, (40, columns))
            screen.resize(columns)
            log.info("behind")
        terminal.flush()
        screen.feed(drained(leader))
    rows = screen.rows()
    for part in ("mine  ", "tokens/s", "last checkpoint"):
        assert sum(part in row for row in rows) == 1, part
    kept = [row for row in rows if row.startswith(("line", "before", "behind"))]
    assert kept[-1] == "behind"
    assert len(kept) == 32 if reflows else len(kept) > 20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-:--:--"), (0, "0:00:00"), (3661, "1:01:01"), (2 * 86400 + 5, "2 d 0:00:05")],
)
def test_times_are_told_as_clocks_do(seconds: float | None, text: str) -> None:
    """With days where there are any."""
    assert clock(seconds) == text


def test_no_module_of_a_bar_is_imported_by_the_front_door(tmp_path: Path) -> None:
    """The view's library is loaded with the view, not with the command line."""
    import subprocess

    code = "import sys, medlora.cli; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
