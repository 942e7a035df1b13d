"""Folders of another user: passed over with a reason, never a traceback, never a stuck run.

Real uids: the tests run as root, which may read everything, and put its rights down.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medlora import cli, logs
from medlora.errors import IntegrityError, StorageError
from medlora.files import TakenError, sweep, write_folder
from medlora.jobs import reproduce, train, verify
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop
from medlora.trainer.duties import Duties

US, THEM = 12345, 23456
ELSE = ("--data", "data", "--config", "recommended", "--checkpoints", "out")
Make = Callable[..., Plan]
Finish = Callable[..., None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users"),
]


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Be this user and no other, in all threads, until the end of the block."""
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(uid, uid, 0)
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def give(path: Path, uid: int, mode: int | None = None) -> None:
    """Make a tree somebody's; only the mode of its top changes."""
    for item in [path, *path.rglob("*")]:
        os.chown(item, uid, uid)
    if mode is not None:
        path.chmod(mode)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of ours that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="medlora-owners-") as name:
        folder = Path(name)
        give(folder, US, 0o755)
        yield folder


@pytest.fixture
def base_folder(base_folder: Path, tmp_path: Path) -> Path:
    """The small Llama where everybody can read it."""
    base = Path(shutil.copytree(base_folder, tmp_path / "base"))
    base.chmod(0o755)
    for file in base.iterdir():
        file.chmod(0o644)  # transformers writes weights that nobody else can read
    return base


@pytest.fixture
def cut(
    pictures: None, tough_plan: Make, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of ours that lacks its end; a whole one is beside it, as `straight`."""
    logs.set_up()
    out, kept = tmp_path / "out", tmp_path_factory.getbasetemp() / "owners"
    if not kept.exists():
        # Once for all tests of this module; as root, who can import whatever comes late.
        train.run(tough_plan("straight"))
        shutil.copytree(out, kept)
    for name in ("straight", "cut"):
        shutil.copytree(kept / "straight", out / name, dirs_exist_ok=True)
    for name in ("final", "epoch_3"):
        shutil.rmtree(out / "cut" / name)
    (out / "cut/written.json").unlink()
    give(out, US)
    return out / "cut"


@pytest.fixture
def finish(tough_plan: Make, outcome_of: Callable[[str], object]) -> Callable[..., None]:
    """Train the cut run to its end, as ourselves: the outcome is that of the whole one."""

    def finish(*overrides: str) -> None:
        with as_user(US):
            train.run(tough_plan("cut", *overrides))
        assert outcome_of("cut") == outcome_of("straight")

    return finish


DAMAGES = {
    "folder": lambda step: give(step, THEM, 0o700),
    "folder that lists nothing": lambda step: give(step, THEM, 0o711),
    "manifest": lambda step: give(step / "manifest.json", THEM, 0o600),
    "optimizer": lambda step: give(step / "optimizer.safetensors", THEM, 0o600),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_checkpoint_that_we_may_not_read_is_passed_over(
    finish: Finish, cut: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    """One line with the reason; the one before is used; nothing is in the way of later saves."""
    damage(cut / "step_8")
    finish()
    printed = capsys.readouterr().err
    (line,) = [line for line in printed.splitlines() if "is skipped" in line]
    assert line.startswith(
        "warning: checkpoint step_8 is skipped and was renamed broken-step_8-1: "
    )
    assert "uid 12345 may not read it, it belongs to uid 23456" in line or "denied" in line
    assert "going on from step_6 of 9 steps" in printed or "going on from epoch_2" in printed


def test_a_checkpoint_that_can_be_read_and_not_deleted_is_used(
    finish: Finish, cut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pruned, it stays under a temporary name; that is said then, and at each start."""
    for name in ("step_6", "step_8"):
        give(cut / name, THEM, 0o755)
    finish("training.save_steps=1")
    printed = capsys.readouterr().err
    assert "going on from step_8 of 9" in printed
    assert "warning: checkpoint step_6 could not be deleted: " in printed
    for name in ("final", "epoch_3", "step_9"):
        shutil.rmtree(cut / name)
    finish("training.save_steps=1")
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "could not be deleted: " in x]
    assert ".tmp-step_6-" in line


@pytest.fixture
def sticky(cut: Path) -> Path:
    """The run's folder is shared as /tmp is: who does not own a thing cannot rename it."""
    give(cut, US)
    os.chown(cut, 0, 0)
    cut.chmod(0o1777)
    return cut


def test_a_checkpoint_that_cannot_even_be_renamed_stops_nobody(
    finish: Finish, sticky: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays; the checkpoint of its name is left out, with a line."""
    give(sticky / "step_8", THEM, 0o700)
    finish()
    lines = capsys.readouterr().err.splitlines()
    assert any("step_8 is skipped and cannot be renamed: step_8: uid" in line for line in lines)
    assert any(line.startswith("warning: step_8 is not saved: ") for line in lines)


def test_what_must_be_saved_and_cannot_be_is_no_clean_stop(
    tough_plan: Make, sticky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """74 and the reason where the last completed step has no place, instead of 143."""
    give(sticky / "step_8", THEM, 0o700)
    stop, count = Stop(), Duties.count

    def count_and_stop(duties, result) -> None:
        count(duties, result)
        if result.step == 8:
            stop.requested = "SIGTERM"

    monkeypatch.setattr(Duties, "count", count_and_stop)
    with as_user(US), pytest.raises(StorageError, match="step_8: uid 12345 may not replace it"):
        train.run(tough_plan("cut"), stop=stop)


@pytest.mark.parametrize(("owner", "mode"), [(THEM, 0o755), (THEM, 0o700), (US, 0o333)])
def test_a_run_folder_that_we_may_not_write_is_one_clear_error(
    tough_plan: Make, cut: Path, owner: int, mode: int
) -> None:
    """74, with the uid that asks and the uid that owns."""
    os.chown(cut, owner, owner)
    cut.chmod(mode)
    with as_user(US), pytest.raises(StorageError) as error:
        train.run(tough_plan("cut"))
    assert f"uid {US} may not read and write it, it belongs to uid {owner}" in str(error.value)
    assert error.value.exit_code == 74


def test_a_lock_that_we_may_not_open_is_one_clear_error(tough_plan: Make, cut: Path) -> None:
    """74 and the file's name."""
    give(cut / ".lock", THEM, 0o600)
    with as_user(US), pytest.raises(StorageError, match=r"\.lock: Permission denied"):
        train.run(tough_plan("cut"))


def test_small_files_of_another_user_are_replaced(finish: Finish, cut: Path) -> None:
    """Metrics and picture are written anew, whoever wrote them last."""
    for name in ("metrics.jsonl", "training_curves.png"):
        give(cut / name, THEM, 0o600)
    finish()


def test_a_result_that_we_may_not_read_is_not_called_damaged(tough_plan: Make, cut: Path) -> None:
    """74, for another user can tell whether it is whole; the same for verify and reproduce."""
    run = cut.parent / "straight"
    give(run / "final", THEM, 0o700)
    with as_user(US):
        for job in (
            lambda: train.run(tough_plan("straight")),
            lambda: verify.run(run),
            lambda: verify.run(run / "final"),
            lambda: reproduce.run(run),
            lambda: reproduce.run(run / "final"),
        ):
            with pytest.raises(StorageError) as error:
                job()
            assert error.value.exit_code == 74


def test_damage_outweighs_what_cannot_be_read(
    cut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """77 where both are found; each has its line."""
    give(cut / "step_8", THEM, 0o700)
    (cut / "epoch_1/progress.json").unlink()
    with as_user(US), pytest.raises(IntegrityError, match="2 problems"):
        verify.run(cut)
    printed = capsys.readouterr().out
    assert "UNREAD   step_8: " in printed
    assert "DAMAGED  epoch_1: progress.json is missing" in printed


def test_sweeping_says_what_it_leaves(tmp_path: Path) -> None:
    """And deletes the rest; a folder that was about to be replaced gets its name back."""
    for name, uid in ((".tmp-a-1", THEM), (".tmp-b-1", US), (".old-c-1", THEM)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        give(tmp_path / name, uid, 0o755)
    with as_user(US):
        (line,) = sweep(tmp_path)
    assert "Permission denied" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-a-1", "c"]


def test_replacing_a_folder_of_another_user(tmp_path: Path) -> None:
    """Done where the system lets us, and one clear refusal where it does not."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").touch()
        give(tmp_path / name, THEM, 0o755)
    with as_user(US):
        write_folder(tmp_path / "a", {"new": b""})
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]
    os.chown(tmp_path, 0, 0)
    tmp_path.chmod(0o1777)
    with as_user(US), pytest.raises(TakenError, match=r"b: uid 12345 may not replace it"):
        write_folder(tmp_path / "b", {"new": b""})
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["old"]


def test_a_base_that_we_may_not_read_is_no_bug(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """74 and the file, wherever the system refuses; no traceback."""
    give(base_folder, THEM, 0o700)
    monkeypatch.setattr(Stop, "listen", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["medlora", "train", "--model", str(base_folder), *ELSE])
    with as_user(US), pytest.raises(SystemExit) as end:
        cli.process.run_command(cli.cli, guarded=False)
    assert end.value.code == 74
    printed = capsys.readouterr().err
    assert f"error: {base_folder}/config.json: Permission denied\n  fix: let uid 12345" in printed
    assert "File" not in printed


def test_foreign_checkpoints_of_later_steps_do_not_crowd_out_ours(
    sticky: Path, finish: Finish
) -> None:
    """Two that cannot be read or moved claim later steps: our newest two stay all the same."""
    for name in ("step_800", "step_900"):
        shutil.copytree(sticky / "step_8", sticky / name)
        give(sticky / name, THEM, 0o700)
    finish("training.save_steps=1")
    assert {path.name for path in sticky.glob("step_?")} == {"step_8", "step_9"}
