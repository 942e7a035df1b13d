"""A base that changes under a run is noticed before anything of it is kept."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medlora.errors import StorageError
from medlora.inputs.watch_base import Steady
from medlora.train.loop import StepResult


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Two files with a digest, and one without."""
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        (folder / name).write_text("0123456789")
    return folder


@pytest.fixture
def watched(base: Path) -> Iterator[Steady]:
    """Watched since before it was hashed."""
    found = Steady(base)
    yield found
    found.close()


def rewrite(path: Path) -> None:
    """Write other bytes of the same number into a file."""
    path.write_text("9876543210")
    os.utime(path, ns=(1, 1))  # a file system's clock may be slow


def replace(path: Path) -> None:
    """Put another file in its place."""
    new = path.with_name("new")
    new.write_text("9876543210")
    new.replace(path)


@pytest.mark.parametrize("change", [rewrite, replace, Path.unlink])
def test_what_changes_before_it_is_loaded_is_refused(
    base: Path, watched: Steady, change: Callable[[Path], None]
) -> None:
    """Its digest may be of the one, and the model of the other."""
    change(base / "model.safetensors")
    with pytest.raises(StorageError, match=r"safetensors: changed while it was used") as error:
        watched.check_loaded()
    assert error.value.exit_code == 74


def test_what_appears_before_it_is_loaded_is_refused(base: Path, watched: Steady) -> None:
    """A template of its own goes before the one in the tokenizer's config."""
    (base / "NOTES.md").write_text("not loaded")
    watched.check_loaded()
    (base / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(
        StorageError, match=r"chat_template\.jinja: appeared while the base was read"
    ):
        watched.check_loaded()


def test_what_is_written_into_later_is_refused(base: Path, watched: Steady) -> None:
    """Where it was replaced instead, the run has the old one for as long as it wants."""
    watched.check_loaded()
    watched.check()
    replace(base / "config.json")
    rewrite(base / "README.md")
    watched.check()
    rewrite(base / "model.safetensors")
    with pytest.raises(StorageError, match=r"model\.safetensors"):
        watched.check()


def test_nothing_is_committed_after_a_change(
    tough_plan: Callable[..., object],
    base_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run whose base is written into between two checkpoints ends with 74 and keeps the first."""
    import shutil

    from medlora.jobs import train
    from medlora.trainer.duties import Duties

    own = tmp_path / "own"
    shutil.copytree(base_folder, own)
    count = Duties.count

    def spoil(self: Duties, result: StepResult) -> None:
        count(self, result)
        if self.progress.step == 3:
            os.utime(own / "model.safetensors", ns=(1, 1))

    monkeypatch.setattr(Duties, "count", spoil)
    plan = tough_plan("a", f"model.base_model_name={own}", "training.save_steps=1")
    with pytest.raises(StorageError, match="changed while it was used"):
        train.run(plan)  # type: ignore[arg-type]
    kept = {path.name for path in (tmp_path / "out/a").glob("step_*")}
    assert kept == {"step_1", "step_2"}
