"""The seed's monitor, used as the seed shows: every number kept, no text anywhere."""

import json
import math
import sys
from copy import deepcopy
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import medlora
from medlora.config import ModelConfig, RunConfig
from medlora.errors import ConfigError, MissingPartError
from medlora.evaluate.loss import HeldOut
from medlora.evaluate.writing_quality import response_quality
from medlora.model.base import load_base
from medlora.report.metrics_jsonl import History
from medlora.train.loop import StepResult

pytestmark = pytest.mark.usefixtures("pictures")


def config(tmp_path: Path, **training: object) -> dict[str, dict[str, object]]:
    """The seed's form of a config."""
    return {
        "model": {"base_model_name": "models/tiny"},
        "training": {"output_dir": str(tmp_path / "out"), **training},
    }


def step(number: int) -> StepResult:
    """One step's outcome."""
    return StepResult(
        step=number,
        epoch=number / 10,
        loss=3.0 / number,
        learning_rate=1e-4,
        grad_norm=0.5,
        tokens=64,
        targets=32,
    )


def lines(tmp_path: Path) -> list[dict[str, object]]:
    """What metrics.jsonl has."""
    text = (tmp_path / "out/run/metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_log_metrics_as_the_seed_shows(tmp_path: Path, capsys) -> None:
    """Kept as points, written as a line, printed with names and numbers."""
    monitor = medlora.TrainingMonitor(config(tmp_path))
    monitor.log_metrics({"train_loss": 2.5, "learning_rate": 2e-5}, 10)
    monitor.log_metrics({"train_loss": torch.tensor(2.0), "odd": math.nan}, step=20)
    assert monitor.metrics_history == {
        "train_loss": [(10, 2.5), (20, 2.0)],
        "learning_rate": [(10, 2e-5)],
    }
    assert lines(tmp_path) == [
        {"kind": "metrics", "step": 10, "train_loss": 2.5, "learning_rate": 2e-5},
        {"kind": "metrics", "step": 20, "train_loss": 2.0, "odd": None},
    ]
    assert capsys.readouterr().out == (
        "Step 10 | train_loss: 2.5 | learning_rate: 2e-05\nStep 20 | train_loss: 2 | odd: nan\n"
    )


def test_a_loop_records_in_silence_and_the_same_file_as_ever(tmp_path: Path, capsys) -> None:
    """What `History` writes alone is what it writes below a monitor: bit for bit."""
    monitor = medlora.TrainingMonitor(config(tmp_path))
    alone = History(tmp_path)
    for recorder in (alone, monitor):
        recorder.record_eval(HeldOut(4.0, 9), step=0, epoch=0.0)
        recorder.record_step(step(1), memory_bytes=3 << 29)
        recorder.record_step(replace(step(2), loss=math.inf))
    assert monitor.content == alone.content
    assert (tmp_path / "out/run/metrics.jsonl").read_bytes() == alone.content
    assert monitor.metrics_history["eval_loss"] == [(0, 4.0)]
    assert monitor.metrics_history["train_loss"] == [(1, 3.0)]
    assert monitor.metrics_history["memory_allocated"] == [(1, 1.5)]
    assert capsys.readouterr() == ("", "")


def test_a_resumed_run_keeps_its_curves(tmp_path: Path) -> None:
    """The lines of a checkpoint become points again; TensorBoard goes on behind them."""
    run = RunConfig.model_validate(config(tmp_path, report_to=["tensorboard"]))
    first = medlora.TrainingMonitor(run)
    first.record_eval(HeldOut(4.0, 9), step=0, epoch=0.0)
    first.record_step(step(1), memory_bytes=3 << 29)
    committed, curves = first.content, deepcopy(first.metrics_history)
    first.record_step(step(2))

    second = medlora.TrainingMonitor(run)
    second.restart(committed)
    assert second.metrics_history == curves
    second.record_step(step(2))
    assert second.content == first.content
    second.restart(committed)  # what an interrupted step does to a monitor in use
    assert second.metrics_history == curves
    events = sorted(path.name for path in (tmp_path / "out/run/tensorboard").iterdir())
    assert [name.rpartition(".")[2] for name in events] == ["0", "2"]


def test_a_new_run_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    """Its first number begins the file anew."""
    for _ in range(2):
        monitor = medlora.TrainingMonitor(config(tmp_path))
        monitor.record_step(step(1))
    assert len(lines(tmp_path)) == 1


def test_nothing_is_touched_before_the_first_number(tmp_path: Path) -> None:
    """A monitor made to look at a finished run must not empty its file."""
    medlora.TrainingMonitor(config(tmp_path, report_to=["tensorboard"]))
    assert not (tmp_path / "out").exists()


def test_model_performance_has_no_text_in_any_file_or_output(
    base_folder: Path, tokenizer, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither prompt nor answer; and the random state is as it was."""
    model = load_base(base_folder, ModelConfig(), half=None)
    monitor = medlora.TrainingMonitor(config(tmp_path, report_to="tensorboard"))
    answers = []
    monkeypatch.setattr(
        "medlora.report.metrics_recorder.response_quality",
        lambda text: answers.append(text) or response_quality(text),
    )
    state = torch.get_rng_state()
    monitor.log_model_performance(model, tokenizer, ["sentinelprompt pain", "rest"], 7)
    assert torch.equal(torch.get_rng_state(), state)
    monitor.close()
    names = {"avg_response_length", "avg_response_quality", "response_length_std"}
    assert {f"performance/{name}" for name in names} < set(monitor.metrics_history)
    assert 0 <= monitor.metrics_history["performance/avg_response_quality"][0][1] <= 1
    printed = "".join(capsys.readouterr()).encode()
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"metrics.jsonl", "training_curves.png"}
    assert len(answers) == 2
    for content in [printed, *(path.read_bytes() for path in files)]:
        assert b"sentinel" not in content
        assert not any(answer.encode() in content for answer in answers if len(answer) > 8)


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    """The names of metrics_history, on the disk before the run ends."""
    monitor = medlora.TrainingMonitor(config(tmp_path, report_to=["tensorboard"]))
    monitor.record_step(step(1))
    monitor.record_eval(HeldOut(4.0, 9), step=1, epoch=0.1)
    (events,) = (tmp_path / "out/run/tensorboard").iterdir()
    content = events.read_bytes()
    for name in monitor.metrics_history:
        assert name.encode() in content


def test_the_curves_are_a_picture_in_the_runs_folder(tmp_path: Path) -> None:
    """Not in the working directory, where the seed put them."""
    monitor = medlora.TrainingMonitor(config(tmp_path))
    for number in range(1, 4):
        monitor.record_step(step(number))
    path = monitor.plot_training_curves()
    assert path == tmp_path / "out/run/training_curves.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_does_not_fail_for_want_of_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for it gets the fix; the end of a run goes on without."""
    monkeypatch.setattr("medlora.report.curves_png.find_spec", lambda _: None)
    monitor = medlora.TrainingMonitor(config(tmp_path))
    monitor.record_step(step(1))
    monitor.close()
    with pytest.raises(MissingPartError, match="matplotlib"):
        monitor.plot_training_curves()


def test_a_drawing_library_that_does_not_load_costs_the_picture_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed by halves, it must not end a run that has trained to its end."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monitor = medlora.TrainingMonitor(config(tmp_path))
    monitor.record_step(step(1))
    monitor.close()
    with pytest.raises(MissingPartError, match="does not load"):
        monitor.plot_training_curves()


class Run:
    """What a W&B run does, as far as we use it."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, object], int | None]] = []
        self.finished = False

    def log(self, values: dict[str, object], step: int | None = None) -> None:
        """Remember."""
        self.logged.append((values, step))

    def finish(self) -> None:
        """Remember."""
        self.finished = True


@pytest.mark.parametrize("asked", [{"use_wandb": True}, {"report_to": ["wandb"]}])
def test_wandb_is_offline_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, object]
) -> None:
    """Project and name are the seed's; numbers and the picture arrive."""
    run, calls = Run(), []
    fake = SimpleNamespace(
        __spec__=ModuleSpec("wandb", None),
        init=lambda **options: calls.append(options) or run,
        Settings=lambda **options: options,
        Image=lambda path: f"image {Path(path).name}",
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv("WANDB_MODE", "online")
    monitor = medlora.TrainingMonitor(
        config(tmp_path, report_to=asked.get("report_to", [])),
        use_wandb=bool(asked.get("use_wandb")),
    )
    monitor.log_metrics({"train_loss": 2.0}, 3)
    monitor.close()
    (options,) = calls
    assert options["mode"] == "offline"
    assert (options["project"], options["name"]) == ("medical-lora-training", "medical-lora-tiny")
    assert options["dir"] == str(tmp_path / "out/run")
    assert "data" not in options["config"]
    assert run.logged == [
        ({"train_loss": 2.0}, 3),
        ({"training_curves": "image training_curves.png"}, None),
    ]
    assert run.finished


def test_wandb_that_is_missing_is_named_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """69 at the start, before anything is trained."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPartError, match=r"report_to is .*wandb is not installed; ") as error:
        medlora.TrainingMonitor(config(tmp_path), use_wandb=True)
    assert error.value.exit_code == 69


def test_an_unknown_tracker_is_a_config_error(tmp_path: Path) -> None:
    """The message has the two words that are known."""
    with pytest.raises(ConfigError, match=r"report_to must be a list of tensorboard or wandb"):
        medlora.TrainingMonitor(config(tmp_path, report_to=["mlflow"]))
