"""`medlora check` says of the place what a run would find, and ends as it would."""

import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from medlora.errors import ConfigError, OutOfMemoryError, StorageError
from medlora.jobs import check, train
from medlora.jobs.checks import machine, memory
from medlora.jobs.checks.machine import look_at_folders
from medlora.jobs.checks.memory import duration
from medlora.plan import quick_checks
from medlora.plan.device import Device
from medlora.plan.disk import look_at_disk
from medlora.plan.resolve_run import Plan
from medlora.trainer import build

Make = Callable[..., Plan]


def report_of(plan: Plan, tmp_path: Path, **wishes: object) -> dict:
    """What a check writes, whatever it ends with."""
    file = tmp_path / "report.json"
    check.run(plan, output=file, **wishes)  # type: ignore[arg-type]
    return json.loads(file.read_bytes())


def test_a_check_predicts_memory_and_time(
    tough_plan: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `auto`, of what that would become here; nothing of a run is left behind."""
    plan = tough_plan("a", "training.per_device_train_batch_size=auto", "training.packing=null")
    report = report_of(plan, tmp_path, timed=True)
    forecast, probe = report["memory"], report["probe"]
    assert (forecast["rows"], forecast["micro_batches"]) == (8, 1)
    assert forecast["peak_bytes"] == pytest.approx(
        sum(forecast["parts"].values())
        - min(
            forecast["parts"]["gradients"] + forecast["parts"]["training"],
            forecast["parts"]["evaluation"],
        )
    )
    assert forecast["fits"]
    assert forecast["largest_rows"] >= 8
    assert 0 < forecast["positions"] < 8 * 64  # the rows' own, not the limit's
    assert (probe["steps"], probe["probed_steps"]) == (6, 3)
    assert probe["expected_s"] > 0
    assert report["disk"]["needed_bytes"] < report["disk"]["free_bytes"]
    said = capsys.readouterr().out
    assert "a micro-batch has 8 rows" in said
    assert "time: about " in said
    assert not (tmp_path / "out/a").exists()


def test_everything_that_would_stop_a_run_is_told_at_once(
    tough_plan: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Adapter targets, and folders; the first of them decides the exit code."""
    for module in (machine, quick_checks):
        monkeypatch.setattr(module, "can_write", lambda _: False)  # root may write anywhere
    plan = tough_plan("a", "lora.target_modules=[q_proj,c_attn]")
    with pytest.raises(StorageError, match=r"\(checkpoints\) cannot be written"):
        report_of(plan, tmp_path)
    errors = json.loads((tmp_path / "report.json").read_bytes())["errors"]
    assert len(errors) == 3
    assert "the base model has no c_attn" in errors[-1]
    assert "also: lora.target_modules: the base model has no c_attn" in capsys.readouterr().err


def test_a_missing_target_module_alone_is_a_config_error(tough_plan: Make, tmp_path: Path) -> None:
    """78, with those that are there."""
    with pytest.raises(ConfigError, match=r"no c_attn\n  fix: choose from: .*q_proj"):
        report_of(tough_plan("a", "lora.target_modules=[c_attn]"), tmp_path)


def test_too_small_a_device_is_told_before_anything_is_loaded(
    tough_plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 where not even a row fits; a warning with a number where fewer rows do."""
    monkeypatch.setattr(check, "this_device", lambda: Device("cpu", 10**6, name="a watch"))
    with pytest.raises(OutOfMemoryError, match=r"a single row does not fit: a watch has 0\.0 GiB"):
        report_of(tough_plan("a"), tmp_path)
    facts = {"fits": False, "largest_rows": 3, "rows": 8, "peak_bytes": 9, "capacity_bytes": 5}
    for kind, end in (("cuda", "fall back to smaller ones"), ("cpu", "be killed by the system")):
        (warning,) = memory.memory_warnings({**facts, "device": {"kind": kind}})
        assert "auto, or to at most 3" in warning
        assert end in warning


def test_train_tells_of_too_little_memory_before_the_system_kills_it(
    tough_plan: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By the container's limit and the prediction; nothing of the base is loaded."""
    monkeypatch.setattr(build, "load_base", None)
    monkeypatch.setattr(logging.getLogger("medlora"), "propagate", True)
    for size, warned in ((10**6, False), (1050 << 20, True)):
        caplog.clear()
        device = Device("cpu", size, name="a watch")
        monkeypatch.setattr(memory, "this_device", lambda device=device: device)
        monkeypatch.setattr(memory, "container_limit", lambda size=size: size)
        with pytest.raises(TypeError if warned else OutOfMemoryError):
            train.run(tough_plan(f"a{size}", "training.per_device_train_batch_size=256"))
        assert ("be killed by the system (137)" in caplog.text) == warned


def test_a_disk_that_is_too_small_is_told(tough_plan: Make) -> None:
    """Step checkpoints that are kept, one more, epochs, best and final."""
    cfg = tough_plan("a").resolved.config
    found = look_at_disk(cfg, adapter_bytes=10**6)
    assert found.facts["checkpoints_kept"] == 2 + 1 + 3
    assert not found.errors
    too_large = look_at_disk(cfg, adapter_bytes=10**15)
    assert "6 checkpoints" in str(too_large.errors[0])


def test_little_shared_memory_is_a_warning_for_several_workers(
    tough_plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As containers have it, 64 MiB."""
    (tmp_path / "root/dev/shm").mkdir(parents=True)
    usage = shutil.disk_usage(tmp_path)._replace(free=64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert not look_at_folders(tough_plan("a"), workers=1).warnings
    (warning,) = look_at_folders(tough_plan("a"), workers=2).warnings
    assert "--shm-size=1g" in warning


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59, "59 s"), (61, "1 min 1 s"), (12_000, "3 h 20 min"), (180_000, "2 d 2 h")],
)
def test_times_are_told_in_two_units(seconds: float, text: str) -> None:
    """Never more exact than they are."""
    assert duration(seconds) == text


def test_what_has_the_place_of_a_folder_is_told_as_training_tells_it(
    tough_plan: Make, tmp_path: Path
) -> None:
    """A file, or the link to the latest run, by the run's name; a file where logs would go."""
    out, logs = tmp_path / "out", tmp_path / "logs"
    (out / "run").mkdir(parents=True)
    (out / "latest").symlink_to("run")
    (out / "file").touch()
    (logs / "run").mkdir(parents=True)
    (logs / "new").touch()
    (logs / "file").touch()

    def tracked(folder: str) -> tuple[str, str]:
        return "training.report_to=tensorboard", f"training.logging_dir={logs / folder}"

    for error, says, name, *changed in (
        (ConfigError, "is the link to the run", "latest"),
        (StorageError, "is not a folder", "file"),
        (StorageError, r"new \(logs\): is not a folder|File exists", "new", *tracked("")),
        (
            StorageError,
            r"file \(logs\): is not a folder|Not a directory|File exists",
            "new",
            *tracked("file"),
        ),
    ):
        for act in (partial(check.run, timed=False), train.run):
            with pytest.raises(error, match=says):
                act(tough_plan(name, *changed))
