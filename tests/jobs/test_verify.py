"""A run is what it says it is, or verify names what is not, and what `train` makes of it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.errors import IntegrityError, MissingPartError
from medlora.jobs import verify
from medlora.runs import written
from tests.tough import rewrite


def told(run: Path) -> str:
    """What verify says of a run that is not as it was written."""
    with pytest.raises(IntegrityError) as error:
        verify.run(run)
    assert error.value.exit_code == 77
    return str(error.value)


def spoil(file: Path) -> None:
    """Change one bit, the last byte's."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_every_folder_has_its_line(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checkpoints, the best one and the result; what others left is no damage."""
    (finished / "card").mkdir()
    capsys.readouterr()
    verify.run(finished)
    lines = capsys.readouterr().out.splitlines()
    ok = {line.split()[1].rstrip(":") for line in lines if line.startswith("ok ")}
    other = {line.split()[1].rstrip(":") for line in lines if line.startswith("other ")}
    assert other == {"card", "tensorboard"}
    assert ok | other == {path.name for path in finished.iterdir() if path.is_dir()}
    assert len(lines) == len(ok | other)


def test_damage_is_named_and_ends_with_77(finished: Path) -> None:
    """One bit is enough; a checkpoint without a manifest is damaged too."""
    spoil(finished / "final/adapter_model.safetensors")
    (finished / "epoch_1/manifest.json").unlink()
    said = told(finished)
    assert "final: adapter_model.safetensors was changed" in said
    assert "epoch_1: it has no manifest" in said
    told(finished / "final")
    verify.run(finished / "epoch_2")


GONE = {
    "final": "medlora train rebuilds final/ from ",
    "best_model": "medlora train rebuilds best_model/ from ",
    "report.html": "medlora train writes report.html again",
    "final/README.md": "medlora train rebuilds final/ from ",
    "metrics.jsonl": "restore metrics.jsonl from a copy",
    "data_audit.json": "restore data_audit.json from a copy",
}


@pytest.mark.parametrize(("name", "way"), GONE.items())
def test_what_the_run_wrote_and_is_gone_is_told(finished: Path, name: str, way: str) -> None:
    """Whole folders and files beside them, each with what `train` does about it."""
    place = finished / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    said = told(finished)
    assert name.partition("/")[0] in said
    assert way in said


def test_a_best_model_that_is_gone_is_told_without_a_record(finished: Path) -> None:
    """By the result, and in a run that has none yet by its newest checkpoint."""
    shutil.rmtree(finished / "best_model")
    (finished / written.RECORD).unlink()
    assert "best_model: it is gone" in told(finished)
    shutil.rmtree(finished / "final")
    assert "best_model: it is gone" in told(finished)


def test_files_beside_the_folders_count_too(finished: Path) -> None:
    """Metrics that were changed, a record that was."""
    spoil(finished / "metrics.jsonl")
    assert "metrics.jsonl: it was changed" in told(finished)
    spoil(finished / written.RECORD)
    assert f"{written.RECORD}: its manifest" in told(finished)


def test_a_checkpoint_that_a_result_no_longer_needs_may_go(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told, and is no damage."""
    shutil.rmtree(finished / "epoch_1")
    verify.run(finished)
    assert "gone     epoch_1: the run wrote it" in capsys.readouterr().out


def another(run: Path, name: str) -> Path:
    """Another run's folder of that name, whole."""
    other = run.with_name("other")
    if not other.exists():
        shutil.copytree(run, other)
    return rewrite(other / name, run_name="other")


def linked(run: Path) -> None:
    """A link to another run's checkpoint of the very step."""
    other = another(run, "step_8")
    shutil.rmtree(run / "step_8")
    (run / "step_8").symlink_to(other)


def linked_within(run: Path) -> None:
    """A file of a checkpoint is a link to the same content elsewhere."""
    (run / "step_8/metrics.jsonl").rename(run / "elsewhere")
    (run / "step_8/metrics.jsonl").symlink_to(run / "elsewhere")


def piped(run: Path) -> None:
    """A manifest is a pipe: whoever opens it waits for ever."""
    (run / "step_8/manifest.json").unlink()
    os.mkfifo(run / "step_8/manifest.json")


FORGED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a link to another run's": ("step_8", linked),
    "a link to nothing": ("step_120", lambda run: (run / "step_120").symlink_to("nothing")),
    "a link in it": ("step_8", linked_within),
    "a pipe in it": ("step_8", piped),
    "a renamed one": (
        "step_120",
        lambda run: shutil.copytree(run / "step_8", run / "step_120"),
    ),
    "another step's manifest": (
        "step_120",
        lambda run: rewrite(run / "step_8", name="step_120", step=120),
    ),
    "another step's progress": (
        "step_120",
        lambda run: rewrite(run / "step_8", name="step_120", progress={"step": 120}),
    ),
    "no progress": (
        "epoch_3",
        lambda run: (
            shutil.rmtree(run / "epoch_3"),
            rewrite(run / "best_model", name="epoch_3", kind="checkpoint"),
        ),
    ),
    "a result": (
        "epoch_120",
        lambda run: shutil.copytree(run / "final", run / "epoch_120"),
    ),
    "another epoch": (
        "epoch_120",
        lambda run: shutil.copytree(run / "epoch_2", run / "epoch_120"),
    ),
}


@pytest.mark.parametrize(("name", "forge"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_checkpoint_is_refused(
    finished: Path, name: str, forge: Callable[[Path], object]
) -> None:
    """Every digest in it is right, and it is not what its name says: 77, alone and in its run."""
    forge(finished)
    assert f"{name}: " in told(finished)
    told(finished / name)


SWAPPED: dict[str, Callable[[Path], object]] = {
    "another run's": lambda run: another(run, "best_model").rename(run / "best_model"),
    "a checkpoint": lambda run: shutil.copytree(run / "epoch_1", run / "best_model"),
    "one of another step": lambda run: rewrite(
        run / "epoch_1", name="best_model", kind="adapter", epoch=None
    ),
}


@pytest.mark.parametrize("swap", SWAPPED.values(), ids=SWAPPED.keys())
def test_another_best_model_is_refused(finished: Path, swap: Callable[[Path], object]) -> None:
    """Whole, and not the one that the run wrote."""
    shutil.copytree(finished, finished.with_name("other"))
    shutil.rmtree(finished / "best_model")
    swap(finished)
    assert "best_model: " in told(finished)


def test_what_a_gate_rejected_is_not_final_by_another_name(finished: Path) -> None:
    """A rename is enough to try, and not enough to pass."""
    rewrite(finished / "final", status="rejected")
    assert "final: its manifest says that the gate rejected it" in told(finished)
    (finished / "final").rename(finished / "rejected")
    verify.run(finished / "rejected")


def test_a_name_forges_no_line(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a folder's nor a file's: no terminal obeys what somebody called them."""
    (finished / "x\nok       final: \x1b[2J").mkdir()
    (finished / "final/y\nok\x1b[2J").touch()
    capsys.readouterr()
    said = told(finished) + capsys.readouterr().out
    assert "\x1b" not in said
    assert not [
        line for line in said.splitlines() if line.startswith(("ok       final", "ok\ufffd"))
    ]


def test_a_link_to_the_run_itself_is_followed(finished: Path) -> None:
    """`latest` is one."""
    (finished.parent / "latest").symlink_to("run")
    verify.run(finished.parent / "latest")


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    """69 for an empty folder and for none."""
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(MissingPartError):
            verify.run(place)
