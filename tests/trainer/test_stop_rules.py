"""A run may end before its last step, for a reason that is said, resumed and recorded."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora import logs
from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import StoppedError
from medlora.jobs import train
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop
from medlora.trainer import medical_lora_trainer

pytestmark = pytest.mark.slow

Make = Callable[..., Plan]
# So high that the held-out loss soon gets worse; a new best must be better by a whole nat.
STANDSTILL = (
    "training.early_stopping_patience=2",
    "training.early_stopping_threshold=1",
    "training.num_train_epochs=6",
)
FLAT = ("training.convergence_window=2", "training.convergence_threshold=0.9")


def test_early_stopping_ends_the_run_and_says_why(
    tough_plan: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result is complete; the manifest has the reason; the end is at an evaluation."""
    logs.set_up()
    train.run(tough_plan("a", *STANDSTILL))
    result = read_manifest(tmp_path / "out/a/final")["result"]
    assert result["ended_early"] == "no better held-out loss in 2 evaluations"
    assert result["steps"] < 18
    assert f"ending at step {result['steps']}: no better held-out" in capsys.readouterr().err


def test_an_interruption_does_not_change_where_a_run_ends(
    tough_plan: Make, outcome_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience is counted across attempts: stopped in every evaluation, the same end."""
    train.run(tough_plan("straight", *STANDSTILL, *FLAT))
    stops = 0
    while True:
        stop = Stop()
        calls: list[int] = []
        original = medical_lora_trainer.held_out_loss

        def evaluate(*args, _stop=stop, _calls=calls, _original=original, **kwargs):
            _calls.append(1)
            if len(_calls) == 2:
                _stop.requested = signal.SIGTERM.name
            return _original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(medical_lora_trainer, "held_out_loss", evaluate)
            try:
                train.run(tough_plan("cut", *STANDSTILL, *FLAT), stop=stop)
            except StoppedError:
                stops += 1
                continue
            break
    assert stops >= 2
    assert outcome_of("cut") == outcome_of("straight")


def test_convergence_is_noted_and_ends_a_run_only_where_asked(
    tough_plan: Make, tmp_path: Path
) -> None:
    """The step where the loss was found flat is in the manifest either way."""
    train.run(tough_plan("noted", *FLAT))
    train.run(tough_plan("ended", *FLAT, "training.stop_on_convergence=true"))
    noted, ended = (
        read_manifest(tmp_path / "out" / name / "final")["result"] for name in ("noted", "ended")
    )
    assert noted["steps"] == 9
    assert noted["ended_early"] is None
    assert noted["converged_step"] == ended["converged_step"] == ended["steps"] == 4
    assert ended["ended_early"] == "the training loss has converged"
