"""Started every night: `latest` leads to the newest result; old runs go, and nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from medlora import files, logs
from medlora.checkpoint import lock
from medlora.checkpoint.folder_format import write_checkpoint
from medlora.checkpoint.lock import only_writer
from medlora.errors import ConfigError
from medlora.files import sha256_files
from medlora.plan.quick_checks import LATEST
from medlora.runs.folder import run_folder, set_aside
from medlora.runs.latest_run import delete_old_runs, point_to_latest


@pytest.fixture(autouse=True)
def _heard() -> None:
    """Lines as a person sees them."""
    logs.set_up()


def ended(out: Path, name: str, moment: str) -> None:
    """A run whose result is of that moment."""
    (out / name).mkdir(parents=True, exist_ok=True)
    facts = {"kind": "run", "step": 2, "run_name": name, "finished": f"2026-01-{moment}T00:00:00"}
    write_checkpoint(out / name / "final", {"adapter": b"x"}, facts)


def test_latest_leads_to_the_run_that_ended_last(tmp_path: Path, tough_plan) -> None:
    """Also where an older one is started again, and in one step: it is never not there."""
    out = tmp_path / "out"
    for name, moment, leads in (("a", "02", "a"), ("b", "03", "b"), ("a", "02", "b")):
        ended(out, name, moment)
        point_to_latest(tough_plan(name))
        assert (out / LATEST).readlink() == Path(leads)
    assert (out / LATEST / "final/manifest.json").is_file()
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", LATEST]


def test_where_there_are_no_links_a_file_has_the_name(
    tmp_path: Path, tough_plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the file system's word, or because a service copies what is there."""

    def refuse(path: Path, target: str) -> None:
        raise PermissionError(1, "no links here", str(path))

    out = tmp_path / "out"
    ended(out, "a", "02")
    with monkeypatch.context() as patch:
        patch.setattr(files.disk, "symlink", refuse)
        point_to_latest(tough_plan("a"))
    assert (out / LATEST).read_text() == "a\n"
    ended(out, "b", "03")
    point_to_latest(replace(tough_plan("b"), job={"platform": "sagemaker"}))
    assert (out / LATEST).read_text() == "b\n"
    ended(out, "c", "04")
    point_to_latest(tough_plan("c"))
    assert (out / LATEST).readlink() == Path("c")
    point_to_latest(replace(tough_plan("b"), job={"platform": "sagemaker"}))
    assert (out / LATEST).readlink() == Path("c")


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_has_the_name_and_is_not_ours_stays(tmp_path: Path, tough_plan, kind: str) -> None:
    """A run of that name, notes, a link to somewhere else."""
    out = tmp_path / "out"
    ended(out, "a", "02")
    match kind:
        case "folder":
            (out / LATEST).mkdir()
        case "file":
            (out / LATEST).write_text("see the notes of last week\n")
        case "link":
            (out / LATEST).symlink_to("/elsewhere/run")
    before = (out / LATEST).lstat()
    point_to_latest(tough_plan("a"))
    assert (out / LATEST).lstat() == before


def test_a_result_is_not_lost_for_want_of_the_link(
    tmp_path: Path,
    tough_plan,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The folder of runs may be somebody else's: a line, and the run goes on to its end."""

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    ended(tmp_path / "out", "a", "02")
    monkeypatch.setattr(files.disk, "symlink", refuse)
    monkeypatch.setattr(files.disk, "create", refuse)
    point_to_latest(tough_plan("a"))
    assert "out/latest could not be pointed to a: " in capsys.readouterr().err


def test_no_run_is_written_through_the_link(tmp_path: Path, tough_plan) -> None:
    """run_name: latest is 78 where `latest` leads to another run."""
    ended(tmp_path / "out", "a", "02")
    point_to_latest(tough_plan("a"))
    with pytest.raises(ConfigError, match="choose another run_name"):
        run_folder(tough_plan(LATEST))


@pytest.fixture
def old(finished: Path) -> Path:
    """A run with four that were set aside before it, each with its number in it."""
    for number in (1, 2, 3, 10):
        shutil.copytree(finished, finished.with_name(f"run.old-{number}"))
    return finished


def numbers(run: Path) -> set[str]:
    """Which of the old ones are there."""
    return {path.name.rpartition("-")[2] for path in run.parent.glob("run.old-*")}


def test_the_latest_old_runs_are_kept(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By number, which grows for ever; what is deleted is said."""
    delete_old_runs(old, keep=None)
    assert numbers(old) == {"1", "2", "3", "10"}
    delete_old_runs(old, keep=2)
    assert numbers(old) == {"3", "10"}
    assert "run.old-1 is deleted: training.keep_old_runs is 2" in capsys.readouterr().err
    shutil.rmtree(old.with_name("run.old-3"))
    with only_writer(old):
        set_aside(old)
    assert numbers(old) == {"10", "11"}
    (old.parent / ".tmp-run.old-3-0123abcd").mkdir()  # of a start that was killed meanwhile
    (old.parent / ".tmp-other-0123abcd").mkdir()  # of another run, which may be at work
    delete_old_runs(old, keep=0)
    assert numbers(old) == set()
    assert {path.name for path in old.parent.glob(".tmp-*")} == {".tmp-other-0123abcd"}


FOREIGN = {
    "notes in it": lambda run: (run / "notes.txt").touch(),
    "a folder in it": lambda run: (run / "figures").mkdir(),
    "a file more in its result": lambda run: (run / "final/notes.txt").touch(),
    "a run of another name": lambda run: (
        shutil.rmtree(run),
        shutil.copytree(run.parent / "run", run),
        [shutil.rmtree(path) for path in run.glob("*_*") if path.is_dir()],
        shutil.rmtree(run / "final"),
        ended(run.parent, run.name, "02"),
    ),
    "nothing in it": lambda run: (shutil.rmtree(run), run.mkdir()),
    "a link": lambda run: (shutil.rmtree(run), run.symlink_to("run")),
    "a file": lambda run: (shutil.rmtree(run), run.touch()),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
def test_nothing_but_a_run_of_ours_is_deleted(
    old: Path, capsys: pytest.CaptureFixture[str], make
) -> None:
    """Whatever has the name: it stays, with a line that says why."""
    make(old.with_name("run.old-2"))
    before = sha256_files(old)
    delete_old_runs(old, keep=1)
    assert numbers(old) == {"2", "10"}
    assert "warning: run.old-2 stays: " in capsys.readouterr().err
    assert sha256_files(old) == before


def test_an_old_run_that_is_in_use_stays(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock is somebody's."""
    monkeypatch.setattr(lock, "DYING_S", 0)
    with only_writer(old.with_name("run.old-1")):
        delete_old_runs(old, keep=3)
    assert numbers(old) == {"1", "2", "3", "10"}


def test_links_in_an_old_run_lead_to_nothing_that_goes(old: Path) -> None:
    """A link that has the name of a tracker's folder is deleted, and not what it leads to."""
    (old.parent / "elsewhere").mkdir()
    (old.parent / "elsewhere/file").touch()
    (old.with_name("run.old-1") / "wandb").symlink_to(old.parent / "elsewhere")
    delete_old_runs(old, keep=3)
    assert numbers(old) == {"2", "3", "10"}
    assert (old.parent / "elsewhere/file").exists()
