"""Whole runs with data, model, checkpoints and result in a bucket."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from medlora import cli, runtime
from medlora.checkpoint import remote
from medlora.checkpoint.remote import by_folder
from medlora.errors import (
    ConfigError,
    MissingPartError,
    RunInUseError,
    StoppedError,
    StorageError,
)
from medlora.files import sha256_bytes
from medlora.jobs import train
from medlora.runtime import Environment, Stop
from medlora.storage.service import service_errors
from medlora.storage.store import Store
from medlora.train import loop
from medlora.trainer.duties import Duties
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer
from tests.jobs.test_resume import signal_at, stop
from tests.storage.conftest import S3
from tests.tough import TOUGH, outcome

__all__ = ["stop"]  # a fixture


@pytest.fixture
def start(
    s3: S3,
    data_file: Path,
    base_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stop: Stop,
) -> Callable[..., Path]:
    """Run `medlora train` with everything in the bucket, on a machine with the given disk."""
    store = s3.store("in")
    store.put(data_file, "data/train.jsonl")
    for file in base_folder.iterdir():
        store.put(file, f"model/{file.name}")

    def start(disk: str, *more: str) -> Path:
        variables = {
            "MEDLORA_DATA": s3.url("in/data"),
            "MEDLORA_MODEL": s3.url("in/model"),
            "MEDLORA_CHECKPOINTS": s3.url("runs"),
            "MEDLORA_OUTPUT": s3.url("result"),
            "MEDLORA_WORK": str(tmp_path / disk),
        }
        environment = Environment(variables, frozenset(), tmp_path / "root")
        monkeypatch.setattr(runtime, "snapshot", lambda: environment)
        sets = [part for one in TOUGH for part in ("--set", one)]
        arguments = ["train", "--config", "recommended", *sets, *more]
        cli.cli.main(arguments, standalone_mode=False, obj=stop)
        (run,) = (tmp_path / disk / "results").glob("*/run")
        return run

    return start


@pytest.mark.slow
def test_everything_in_a_bucket_is_as_on_a_disk(start, s3: S3, tough_plan, outcome_of) -> None:
    """The same adapter and metrics; all that was committed is there, whole."""
    train.run(tough_plan("run"))
    run = start("disk")
    assert outcome(run) == outcome_of("run")
    names = s3.store("runs/run").objects()
    assert {name for name in names if "/" not in name} >= {"metrics.jsonl", "data_audit.json"}
    final = s3.store("runs/run/final")
    manifest = json.loads(final.read("manifest.json"))
    assert {name: sha256_bytes(final.read(name)) for name in manifest["files"]} == manifest["files"]
    assert s3.store("result").read("manifest.json") == final.read("manifest.json")
    assert (
        manifest["config"]["data.path"]["origin"] == f"variable MEDLORA_DATA: {s3.url('in/data')}"
    )


def broken_put(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Have the service fail for good at the n-th object that a run sends."""
    original, calls = Store.put, []

    def put(self, source, name):
        calls.append(name)
        if len(calls) >= call:
            with service_errors(self.location):
                raise ConnectionResetError
        original(self, source, name)

    monkeypatch.setattr(Store, "put", put)


@pytest.mark.slow
def test_a_service_that_fails_costs_nothing(
    start, s3: S3, tough_plan, outcome_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    """74 in the middle of an upload; another machine, and the same one, end with the same bits."""
    train.run(tough_plan("run"))
    with monkeypatch.context() as patch:
        broken_put(patch, 14)
        with pytest.raises(StorageError, match="S3 cannot be reached"):
            start("here")
    half = by_folder(s3.store("runs/run").objects())
    assert any("manifest.json" not in files for files in half.values())
    assert outcome(start("elsewhere")) == outcome_of("run")
    s3.store("runs").remove(s3.store("runs").objects())
    assert outcome(start("here")) == outcome_of("run")  # from what is on the disk alone
    assert all(
        "manifest.json" in files for files in by_folder(s3.store("runs/run").objects()).values()
    )


@pytest.mark.slow
def test_a_damaged_checkpoint_is_set_aside_there(
    start, s3: S3, tough_plan, outcome_of, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    """With a line; the one before it is taken, and the run ends with the same bits."""
    train.run(tough_plan("run"))
    with monkeypatch.context() as patch:
        broken_put(patch, 31)
        with pytest.raises(StorageError):
            start("here")
    run = s3.store("runs/run")
    whole = [name for name, files in by_folder(run.objects()).items() if "manifest.json" in files]
    newest = max((int(name[5:]), name) for name in whole if name.startswith("step_"))[1]
    run.write(f"{newest}/optimizer.safetensors", b"not what was written")
    monkeypatch.setattr(logging.getLogger("medlora"), "propagate", True)
    assert outcome(start("elsewhere")) == outcome_of("run")
    assert (
        f"{newest} is skipped and was renamed broken-{newest}-1: optimizer.safetensors was changed"
        in (caplog.text)
    )
    assert run.objects(f"broken-{newest}-1")


@pytest.mark.slow
def test_a_finished_run_changes_no_byte_there(start, s3: S3, capsys) -> None:
    """Not on the same disk, and not on an empty one; --fresh gives it another name."""
    start("here", "--set", "training.save_total_limit=2")
    store = s3.store()
    before = store.objects("runs"), store.objects("result")
    steps = [name for name in by_folder(store.objects("runs/run")) if name.startswith("step_")]
    assert len(steps) == 2
    for disk in ("here", "elsewhere"):
        start(disk, "--set", "training.save_total_limit=2")
        assert "is finished already" in capsys.readouterr().out
    assert (store.objects("runs"), store.objects("result")) == before
    start("third", "--fresh", "--set", "training.save_total_limit=2")
    assert store.objects("runs/run.old-1").keys() == store.objects("runs/run").keys()


@pytest.mark.slow
def test_a_result_there_is_replaced_where_that_is_said(
    start, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, nothing has moved; broken off, the old one or the new one is whole; then the new."""
    start("first")
    before = s3.store().objects()
    another = ("--fresh", "--set", "training.seed=2")
    with pytest.raises(ConfigError, match="holds the result of other inputs"):
        start("second", *another)
    assert s3.store().objects() == before
    replaced = (*another, "--set", "training.overwrite_final_dir=true")
    with monkeypatch.context() as patch:
        original = remote.upload

        def break_off(store: Store, folder: Path) -> None:
            if store.location.name == "result":
                broken_put(patch, 3)
            original(store, folder)

        patch.setattr(remote, "upload", break_off)
        with pytest.raises(StorageError):
            start("second", *replaced)
    assert whole(s3.store("result.replaced")) == "42"
    assert not whole(s3.store("result"))
    for disk in ("second", "third"):
        start(disk, *replaced[1:])
        assert whole(s3.store("result")) == "2"
    assert not [name for name in s3.store().objects() if name.startswith("result.")]
    assert s3.store("runs").read("latest") == b"run\n"
    assert whole(s3.store("runs/run.old-1/final")) == "42"


def whole(place: Store) -> str | None:
    """The seed of a result that is whole there, None where it is not."""
    manifest = json.loads(place.read("manifest.json") or b"null")
    if manifest is None:
        return None
    found = {name: sha256_bytes(place.read(name) or b"") for name in manifest["files"]}
    return str(manifest["inputs"]["training.seed"]) if found == manifest["files"] else None


@pytest.mark.slow
def test_a_forged_checkpoint_there_is_not_gone_on_from(
    start, s3: S3, tough_plan, outcome_of, stop: Stop, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    """A copy that claims a later step is set aside there; the true one is taken."""
    train.run(tough_plan("run"))
    with monkeypatch.context() as patch:
        signal_at(patch, loop, "seed_micro_batch", 21, signal.SIGTERM)
        with pytest.raises(StoppedError, match="step_6 is committed"):
            start("here")
    run = s3.store("runs/run")
    for name in run.objects("step_6"):
        run.copy(f"step_6/{name}", f"step_99/{name}")
    stop.requested = None
    monkeypatch.setattr(logging.getLogger("medlora"), "propagate", True)
    assert outcome(start("elsewhere")) == outcome_of("run")
    assert (
        "step_99 is skipped and was renamed broken-step_99-1: its manifest is of step 6"
        in caplog.text
    )
    assert run.objects("broken-step_99-1")


@pytest.mark.slow
def test_a_signal_leaves_the_last_step_there(
    start, s3: S3, tough_plan, outcome_of, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """143 once the commit has arrived; another machine goes on from that very step."""
    train.run(tough_plan("run"))
    with monkeypatch.context() as patch:
        signal_at(patch, loop, "seed_micro_batch", 21, signal.SIGTERM)
        with pytest.raises(StoppedError, match="step_6 is committed"):
            start("here")
    assert s3.store("runs/run").read("step_6/manifest.json")
    assert s3.store("runs/run").read(".writer") is None
    stop.requested = None  # another process has not heard it
    assert outcome(start("elsewhere")) == outcome_of("run")


@pytest.mark.slow
def test_the_last_to_begin_is_the_one_that_writes(start, s3: S3, monkeypatch) -> None:
    """73 at its next commit for a run that another machine has taken over."""
    original = Duties.count

    def count(self, result):
        if result.step == 3:
            s3.store("runs/run").write(".writer", b"host other, process 7, 1234\n")
        original(self, result)

    monkeypatch.setattr(Duties, "count", count)
    with pytest.raises(
        RunInUseError, match=r"another run has started writing there .*host other, process 7"
    ):
        start("here")
    assert s3.store("runs/run").read(".writer")


def test_results_that_cannot_be_sent_are_told_before_the_model(
    start, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """69, or 78 where something else lies where the result is to go."""
    s3.store("result").write("notes.txt", b"mine")
    with pytest.raises(ConfigError, match=r"final_dir: s3://.*/result holds 1 files of something"):
        start("here")
    s3.store("result").remove(["notes.txt"])

    def refuse(self, path, value):
        raise PermissionError

    monkeypatch.setattr(S3FileSystem, "pipe_file", refuse)
    with pytest.raises(
        MissingPartError, match=r"/\.writer: access is refused.*\n  fix: .*PutObject"
    ):
        start("here")


def test_a_location_where_only_a_folder_may_be(start) -> None:
    """78, by key."""
    with pytest.raises(ConfigError, match=r"option --set data\.eval_file.* cannot be in an object"):
        start("here", "--set", "data.eval_file=s3://bucket/eval.jsonl")


def test_the_trainer_itself_takes_folders_alone(adapted) -> None:
    """A URL is no name for a folder; in Python nobody mirrors it."""
    with pytest.raises(ConfigError, match=r"training\.output_dir"):
        MedicalLoRATrainer(adapted(), None, [], config={"training": {"output_dir": "s3://b/r"}})


@pytest.mark.slow
def test_two_workers_fetch_once_and_one_of_them_writes(
    s3: S3, base_folder: Path, data_file: Path, tough_plan, outcome_of, tmp_path: Path
) -> None:
    """As processes that the command line starts; the working directory goes in the end."""
    train.run(tough_plan("run"))
    store = s3.store("in")
    store.put(data_file, "data/train.jsonl")
    store.write("config.yaml", b"run_name: run\n")
    for file in base_folder.iterdir():
        store.put(file, f"model/{file.name}")
    (tmp_path / "temporary").mkdir()
    variables = {
        "MEDLORA_NPROC": "2",
        "MEDLORA_CONFIG": s3.url("in/config.yaml"),
        "MEDLORA_DATA": s3.url("in/data/train.jsonl"),
        "MEDLORA_MODEL": s3.url("in/model"),
        "MEDLORA_CHECKPOINTS": s3.url("runs"),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    sets = [part for one in TOUGH for part in ("--set", one)]
    told = subprocess.run(
        [sys.executable, "-P", "-m", "medlora", "train", *sets],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("here after") == 3  # config, data, base
    assert "Warning" not in told.stderr
    (work,) = (tmp_path / "temporary").iterdir()
    assert [path for path in work.rglob("*") if path.is_file()] == []
    final = s3.store("runs/run/final")
    (tmp_path / "out/run/final/adapter_model.safetensors").write_bytes(
        final.read("adapter_model.safetensors")
    )
    assert outcome(tmp_path / "out/run") == outcome_of("run")
    assert sha256_bytes(final.read("adapter_model.safetensors")) == outcome_of("run")[0]
