"""Progress shows numbers: a bar on a terminal, lines elsewhere."""

import logging

import pytest

from medlora import logs
from medlora.report.progress import ProgressView
from medlora.train.loop import StepResult


def result(step: int) -> StepResult:
    """A step with loss 1 / step."""
    return StepResult(step, step / 4, 1 / step, 1e-4, 0.5, tokens=100, targets=50)


def test_lines_come_every_so_many_steps_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Loss, average and learning rate in each."""
    logs.set_up()
    with ProgressView(5, every=2, terminal=False) as progress:
        for step in range(1, 6):
            progress.show(result(step))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["step 2/5", "step 4/5", "step 5/5"]
    assert "loss 0.5000  avg 0.7500  lr 1.00e-04" in lines[0]
    logging.getLogger(logs.LOGGER).handlers.clear()


def test_a_terminal_gets_a_bar_and_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar carries the same three numbers."""
    with ProgressView(2, every=1, terminal=True) as progress:
        progress.show(result(1))
        progress.show(result(2))
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "loss 0.5000, avg 0.7500, lr 1.00e-04" in shown
