"""Whole runs with data, model, checkpoints and result in a bucket."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora import cli, runtime
from medlora.files import sha256_bytes
from medlora.jobs import train
from medlora.runtime import Environment, Stop
from tests.jobs.conftest import TOUGH, outcome
from tests.storage.conftest import S3


@pytest.fixture
def start(
    s3: S3, data_file: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
        cli.cli.main(arguments, standalone_mode=False, obj=Stop())
        (run,) = (tmp_path / disk / "results").glob("*/run")
        return run

    return start


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
