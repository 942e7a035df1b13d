"""The copy of a result: refused before training, replaced once the new one is whole."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora import files
from medlora.checkpoint.folder_format import read_manifest, write_checkpoint
from medlora.config import TrainingConfig
from medlora.errors import ConfigError, StorageError
from medlora.files import DamagedError, read_stated, sha256_bytes
from medlora.report.fingerprint import Inputs
from medlora.runs.delivery import check_output, deliver

INPUTS = Inputs(Path("base"), {"inputs": {"lora.r": 4}})
OLD = {"adapter_model.safetensors": b"old", "a.json": b"{}", "evaluation.json": b"{}"}
NEW = {"adapter_model.safetensors": b"new", "a.json": b"{}", "b.json": b"{}"}


def to(folder: Path | None, **more: bool) -> TrainingConfig:
    """A config whose result goes there."""
    return TrainingConfig(final_dir=str(folder) if folder else None, **more)


@pytest.mark.parametrize(
    ("holds", "says"),
    [
        ({"tokenizer.json": "{}"}, "holds 1 files of something else"),
        ({"manifest.json": "{}"}, "holds 1 files of something else"),
        ({"manifest.json": '{"inputs": {"lora.r": 8}}'}, "holds the result of other inputs"),
    ],
)
def test_a_folder_of_something_else_gets_no_result(
    holds: dict[str, str], says: str, tmp_path: Path
) -> None:
    """78 before anything is trained, and every file is as it was."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name, content in holds.items():
        (folder / name).write_text(content)
    with pytest.raises(ConfigError, match=rf"training\.final_dir: .*{says}"):
        check_output(to(folder), tmp_path / "run", INPUTS)
    assert {path.name: path.read_text() for path in folder.iterdir()} == holds


def test_a_manifest_that_is_a_pipe_is_none(tmp_path: Path) -> None:
    """Whoever opened it would wait for ever."""
    os.mkfifo(tmp_path / "manifest.json")
    check_output(to(tmp_path), tmp_path / "run", INPUTS)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="holds 1 files of something else"):
        check_output(to(tmp_path), tmp_path / "run", INPUTS)


def test_a_folder_that_is_fit_for_the_result(tmp_path: Path) -> None:
    """Not there yet, empty but for hidden names and folders, or of the same inputs."""
    check_output(to(None), tmp_path / "run", INPUTS)
    folder = tmp_path / "out"
    check_output(to(folder), tmp_path / "run", INPUTS)
    (folder / "lost+found").mkdir()
    (folder / ".keep").touch()
    check_output(to(folder), tmp_path / "run", INPUTS)
    (folder / "manifest.json").write_text('{"inputs": {"lora.r": 4}}')
    check_output(to(folder), tmp_path / "run", INPUTS)
    with pytest.raises(ConfigError, match="inside of the run's own folder"):
        check_output(to(tmp_path / "run/final"), tmp_path / "run", INPUTS)
    deliver(tmp_path / "nothing", None)


def test_only_a_result_is_overwritten_and_only_where_that_is_said(tmp_path: Path) -> None:
    """Files of somebody else are never part of the bargain."""
    folder = tmp_path / "out"
    write_checkpoint(folder, OLD, {"inputs": {"lora.r": 8}})
    with pytest.raises(ConfigError, match=r"fix: .* or set training\.overwrite_final_dir: true"):
        check_output(to(folder), tmp_path / "run", INPUTS)
    check_output(to(folder, overwrite_final_dir=True), tmp_path / "run", INPUTS)
    (folder / "notes.txt").touch()
    with pytest.raises(ConfigError, match="holds 1 files of something else beside a result"):
        check_output(to(folder, overwrite_final_dir=True), tmp_path / "run", INPUTS)
    (folder / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="holds 4 files of something else"):
        check_output(to(folder, overwrite_final_dir=True), tmp_path / "run", INPUTS)


@pytest.fixture
def final(tmp_path: Path) -> Path:
    """A run's result."""
    (tmp_path / "run").mkdir()
    write_checkpoint(tmp_path / "run/final", NEW, {"step": 2, "inputs": {"lora.r": 4}})
    return tmp_path / "run/final"


def as_a_mount(folder: Path, rename: Callable[[Path, Path], None]) -> Callable[..., None]:
    """Renaming, as the kernel does it where this folder is mounted."""

    def refuse(old: Path, new: Path) -> None:
        if folder in (old, new):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(old))
        rename(old, new)

    return refuse


def whole(folder: Path) -> dict[str, bytes] | None:
    """What a folder holds, if its manifest vouches for it."""
    try:
        digests = read_stated(folder / "manifest.json")["files"]
        found = {name: (folder / name).read_bytes() for name in digests}
    except (DamagedError, FileNotFoundError):
        return None
    return found if {name: sha256_bytes(one) for name, one in found.items()} == digests else None


@pytest.mark.parametrize(("there", "mounted"), [(None, False), (OLD, False), (OLD, True)])
def test_wherever_a_delivery_breaks_off_a_result_is_whole(
    tmp_path: Path,
    final: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: dict[str, bytes] | None,
    mounted: bool,
) -> None:
    """Each call to the disk fails once: the old copy or the new one is whole; then the new one."""
    calls, broken = ("create", "rename", "mkdir", "unlink", "rmdir"), 0
    monkeypatch.setattr(files.disk, "sync", lambda _: None)  # nothing here loses its power
    for last in range(1, 200):
        out = tmp_path / f"at-{last}" / "out"
        out.mkdir(parents=True)
        if there:
            write_checkpoint(out, there, {"step": 1, "inputs": {"lora.r": 8}})
        with monkeypatch.context() as patch:
            if mounted:
                patch.setattr(files.disk, "rename", as_a_mount(out, files.disk.rename))
            _fail_at(patch, calls, last)
            try:
                deliver(final, str(out))
            except StorageError:
                broken += 1
            else:
                break
        if there:  # in its place, or complete beside it, in one piece or in two
            kept = [out, *out.glob(".old-*"), *out.parent.glob(".old-*")]
            pieces = {one.name for place in kept for one in place.glob("*") if one.is_file()}
            assert whole(out) == NEW or pieces >= there.keys()
        check_output(to(out, overwrite_final_dir=True), final.parent, INPUTS)
        with monkeypatch.context() as patch:
            if mounted:
                patch.setattr(files.disk, "rename", as_a_mount(out, files.disk.rename))
            deliver(final, str(out))
        assert read_manifest(out) == read_manifest(final)
        assert whole(out) == NEW
        assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert broken > 10


def _fail_at(patch: pytest.MonkeyPatch, calls: tuple[str, ...], last: int) -> None:
    """Have the disk be gone from the n-th call on."""
    seen: list[str] = []

    def wrap(name: str) -> None:
        original = getattr(files.disk, name)

        def call(*arguments: object) -> None:
            seen.append(name)
            if len(seen) >= last:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]))
            original(*arguments)

        patch.setattr(files.disk, name, call)

    for name in calls:
        wrap(name)


def test_a_link_to_the_folder_stays_one(tmp_path: Path, final: Path) -> None:
    """What it leads to is replaced."""
    write_checkpoint(tmp_path / "there", OLD, {"step": 1, "inputs": {"lora.r": 8}})
    (tmp_path / "out").symlink_to("there")
    deliver(final, str(tmp_path / "out"))
    assert (tmp_path / "out").readlink() == Path("there")
    assert whole(tmp_path / "there") == NEW


def test_what_somebody_else_has_in_the_folder_stays(tmp_path: Path, final: Path) -> None:
    """A folder of notes, a hidden file: the result beside them is replaced in place."""
    out = tmp_path / "out"
    write_checkpoint(out, OLD, {"step": 1, "inputs": {"lora.r": 8}})
    (out / "notes").mkdir()
    (out / ".keep").touch()
    deliver(final, str(out))
    assert {path.name for path in out.iterdir()} == {*NEW, "manifest.json", "notes", ".keep"}
