"""Whole runs as SageMaker and Vertex AI start them: nothing but what the platform sets."""

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medlora import cli, runtime
from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import MissingPartError, StoppedError
from medlora.files import sha256_file
from medlora.jobs import doctor
from medlora.plan.resolve_run import Options, resolve
from medlora.runtime import Environment, Stop
from medlora.storage.dry_run import describe_locations
from tests.runtime import platforms

SHORT = {
    "training.num_train_epochs": "1",
    "warmup_steps": "1",
    "learning_rate": "1e-2",
    "lora.r": "4",
    "run_name": "tuned",
}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a command line in the given surroundings, in this process."""

    def start(environment: Environment, *arguments: str) -> None:
        monkeypatch.setattr(runtime, "snapshot", lambda: environment)
        cli.cli.main([*arguments], standalone_mode=False, obj=Stop())

    return start


@pytest.fixture
def sagemaker(tmp_path: Path, data_file: Path, base_folder: Path) -> Environment:
    """A training job with the channels train, validation and model."""
    laid = platforms.sagemaker("algo-1", "algo-1")
    config = "opt/ml/input/config"
    laid[f"{config}/hyperparameters.json"] = SHORT
    laid[f"{config}/inputdataconfig.json"] = {"train": {}, "validation": {}, "model": {}}
    root = tmp_path / "root"
    channels = root / "opt/ml/input/data"
    lines = data_file.read_text().splitlines(keepends=True)
    for channel, rows in (("train", lines[:9]), ("validation", lines[9:])):
        (channels / channel).mkdir(parents=True)
        (channels / channel / "part.jsonl").write_text("".join(rows))
    shutil.copytree(base_folder, channels / "model")
    folders = ("opt/ml/model", "opt/ml/output", "opt/ml/checkpoints", "checkpoints")
    case = platforms.Recorded({}, "sagemaker", (0, 1), files=laid, folders=folders)
    return case.environment(root)


def test_sagemaker_needs_nothing_but_train(sagemaker: Environment, start) -> None:
    """Channels and hyperparameters in; the adapter in /opt/ml/model, whole, and verified."""
    start(sagemaker, "train")
    ml = sagemaker.root / "opt/ml"
    manifest = read_manifest(ml / "model")
    assert manifest == read_manifest(ml / "checkpoints/tuned/final")
    assert manifest["data"]["rows"] == {"train": 9, "eval": 3}
    assert manifest["data"]["held_out_from_train_file"] == 0
    assert manifest["job"] == {"platform": "sagemaker", "job": None, "attempt": None}
    source = ml / "input/config/hyperparameters.json"
    assert manifest["config"]["lora.r"] == {"value": 4, "origin": f"{source}, lora.r"}
    channels = f"file {ml / 'input/config/inputdataconfig.json'}"
    assert manifest["config"]["data.path"]["origin"] == f"{channels}, channel train"
    assert manifest["config"]["training.final_dir"]["origin"] == "default for sagemaker"
    assert not (ml / "output/failure").exists()
    assert manifest["config"]["data.cache_dir"] == {
        "value": str(sagemaker.root / "tmp/medlora-cache"),
        "origin": "default for sagemaker",
    }
    assert {path.name for path in (ml / "checkpoints").iterdir()} == {"latest", "tuned"}
    assert (ml / "checkpoints/latest").read_text() == "tuned\n"
    kept = {path.name for path in (sagemaker.root / "tmp/medlora-cache").iterdir()}
    assert kept == {".audits", ".scans", ".tokens"}

    # A job that was killed between the result and its copy delivers it when it is started again.
    (ml / "model/manifest.json").unlink()
    (ml / "model/adapter_config.json").write_text("half")
    (ml / "model/.tmp-copy-12345678").mkdir()
    start(sagemaker, "train")
    assert read_manifest(ml / "model") == manifest
    before = {path: path.stat().st_mtime_ns for path in (ml / "model").iterdir()}
    start(sagemaker, "train")
    assert {path: path.stat().st_mtime_ns for path in (ml / "model").iterdir()} == before


def test_check_says_where_the_data_is_kept_and_what_the_bucket_would_hold(
    sagemaker: Environment, start, capsys: pytest.CaptureFixture[str], caplog
) -> None:
    """Outside of what the service copies; with the checkpoints only where somebody says so."""
    start(sagemaker, "check", "--no-probe")
    said = capsys.readouterr().out
    cache = sagemaker.root / "tmp/medlora-cache"
    assert f"tokens, audits and scans are kept in {cache};" in said
    runs = sagemaker.root / "opt/ml/checkpoints"
    assert re.search(rf"the service copies {runs} to S3: .*, but nothing of its rows\n", said)
    assert "is copied to S3" not in said
    start(replace_variable(sagemaker, "MEDLORA_DATA__CACHE_DIR", str(runs)), "check", "--no-probe")
    said = capsys.readouterr().out
    assert re.search(
        rf"the service copies {runs} to S3: .*, and the tokens, audits and scans of the data\n",
        said,
    )
    assert f"warning: {runs} is copied to S3 by the service, and with it the tokens" in said


def replace_variable(environment: Environment, name: str, value: str) -> Environment:
    """The same surroundings with another variable."""
    variables = {**environment.variables, name: value}
    return Environment(variables, environment.mount_points, environment.root)


def test_vertex_needs_nothing_but_a_config_and_a_model(
    tmp_path: Path, data_file: Path, base_folder: Path, start
) -> None:
    """gs:// locations are folders below /gcs; a start after the end changes nothing."""
    root = tmp_path / "root"
    shutil.copytree(data_file.parent, root / "gcs/bucket/data")
    shutil.copytree(base_folder, root / "gcs/bucket/base")
    variables = {
        **platforms.vertex("workerpool0", 0),
        "AIP_TRAINING_DATA_URI": "gs://bucket/data/train-*.jsonl",
        "MEDLORA_CONFIG": "recommended",
        "MEDLORA_MODEL": "gs://bucket/base",
        **{
            f"MEDLORA_{key.upper().replace('.', '__')}": value
            for key, value in SHORT.items()
            if "." in key or key == "run_name"
        },
        "MEDLORA_TRAINING__REPORT_TO": "tensorboard",
    }
    (root / "gcs/bucket/data/train.jsonl").rename(root / "gcs/bucket/data/train-0.jsonl")
    environment = Environment(variables, frozenset(), root)
    start(environment, "train")
    out = root / "gcs/bucket/out"
    manifest = read_manifest(out / "model")
    assert manifest["job"] == {"platform": "vertex", "job": "77", "attempt": None}
    assert manifest["config"]["training.output_dir"] == {
        "value": str(out / "checkpoints"),
        "origin": "variable AIP_CHECKPOINT_DIR",
    }
    assert list((out / "logs/tuned/tensorboard").glob("events.out.*"))
    final = out / "checkpoints/tuned/final"
    assert sha256_file(final / "manifest.json") == sha256_file(out / "model/manifest.json")


def test_the_platform_beats_the_file_and_is_beaten_by_our_variables(
    sagemaker: Environment, tmp_path: Path
) -> None:
    """Default, mount, file, platform, variable, option; hyperparameters beat the platform."""
    config = tmp_path / "run.yaml"
    config.write_text(
        "training: {output_dir: /from/file, num_train_epochs: 7, seed: 7}\nlora: {r: 7}\n"
    )
    variables = {"MEDLORA_CONFIG": str(config), "MEDLORA_LORA__R": "16", "MEDLORA_OUTPUT": "/o"}
    environment = Environment(variables, frozenset(), sagemaker.root)
    cfg = resolve(Options(), environment).resolved.config
    assert cfg.training.output_dir == str(sagemaker.root / "opt/ml/checkpoints")
    assert (cfg.training.seed, cfg.training.num_train_epochs, cfg.lora.r) == (7, 1, 16)
    assert cfg.training.final_dir == "/o"
    assert cfg.data.eval_file == [str(sagemaker.root / "opt/ml/input/data/validation")]
    mine = resolve(Options(data="/mine", checkpoints="/c"), environment).resolved.config
    assert (mine.data.path, mine.data.eval_file) == ("/mine", None)  # not rows of other data
    assert mine.training.output_dir == "/c"


def test_a_missing_channel_is_named(sagemaker: Environment) -> None:
    """69: under a batch service there is no demo, and the channel is a way to mend it."""
    source = sagemaker.root / "opt/ml/input/config/inputdataconfig.json"
    source.write_text('{"train": {}}')
    with pytest.raises(
        MissingPartError, match=r"no model is given.*\n  fix: add the channel model"
    ):
        resolve(Options(), sagemaker)


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Run the whole front door in the given surroundings; return the exit code."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]

    def main(environment: Environment, *arguments: str) -> int:
        monkeypatch.setattr(runtime, "snapshot", lambda: environment)
        monkeypatch.setattr(runtime, "prepare_process", lambda: None)
        monkeypatch.setattr(sys, "argv", ["medlora", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.process.run_command(cli.cli, guarded=False)
        return int(end.value.code or 0)

    yield main
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_sagemaker_is_told_the_cause_of_a_failure(sagemaker: Environment, main) -> None:
    """The first cause stays; a row's text is never in it."""
    row = {"prompt": "canary asks", "response": ""}
    train = sagemaker.root / "opt/ml/input/data/train/part.jsonl"
    train.write_text(json.dumps(row) + "\n")
    assert main(sagemaker, "train") == 65
    failure = sagemaker.root / "opt/ml/output/failure"
    told = failure.read_text()
    assert "part.jsonl:1: field 'response': empty text" in told
    assert "canary" not in told
    assert main(sagemaker, "train", "--no-such-option") == 2
    assert failure.read_text() == told


def test_a_bug_and_a_usage_error_are_causes_and_a_stop_is_none(
    sagemaker: Environment, main, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug's message, which may quote a row, is kept back."""
    failure = sagemaker.root / "opt/ml/output/failure"
    assert main(sagemaker, "train", "--no-such-option") == 2
    assert "--no-such-option" in failure.read_text()
    failure.unlink()

    def stopped(*_: object) -> None:
        raise StoppedError("stopped by SIGTERM", fix="run it again")

    monkeypatch.setattr("medlora.plan.announce.announce", stopped)
    assert main(sagemaker, "train") == 143
    assert not failure.exists()

    def broken(*_: object) -> None:
        msg = "Patient 4711 has a rash"
        raise RuntimeError(msg)

    monkeypatch.setattr("medlora.plan.announce.announce", broken)
    assert main(sagemaker, "train") == 70
    assert failure.read_text() == "RuntimeError: a bug in MedLoRA"


def test_elsewhere_no_failure_is_written(tmp_path: Path, main) -> None:
    """Nor anything else."""
    assert main(Environment({"RANK": "x"}, frozenset(), tmp_path), "doctor") == 78
    assert not list(tmp_path.iterdir())


def test_doctor_for_people_has_all_of_it(sagemaker: Environment) -> None:
    """Place, versions, devices and folders, on a machine with a driver's file or without."""
    told = doctor.as_text(sagemaker)
    for line in ("platform", "torch", "driver", "gpu", "/dev/shm", "GiB free", "network_interface"):  # noqa: S108
        assert line in told
    version = sagemaker.root / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\n")
    assert "580.95.05" in doctor.as_text(sagemaker)


def test_doctor_says_what_it_would_do_with_buckets(tmp_path: Path) -> None:
    """What would be fetched and mirrored, with whose credentials; nothing is sent or shown."""
    variables = {
        "MEDLORA_DATA": "s3://bucket/data",
        "MEDLORA_CHECKPOINTS": "gs://bucket/runs",
        "MEDLORA_WORK": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "AKIAX",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    environment = Environment(variables, frozenset(), tmp_path / "root")
    rows = {
        row[0]: row[1:] for row in describe_locations(environment, runtime.find_paths(environment))
    }
    assert rows.pop("S3: library")[1] == "s3fs"
    assert rows.pop("Cloud Storage: library")[1] == "gcsfs"
    assert rows == {
        "data": ("would be fetched", "s3://bucket/data"),
        "checkpoints": ("would be mirrored", "gs://bucket/runs"),
        "working directory": (str(tmp_path), "variable MEDLORA_WORK"),
        "S3: credentials": ("named", "variable AWS_ACCESS_KEY_ID"),
        "S3: address": ("given", "variable AWS_ENDPOINT_URL"),
        "Cloud Storage: credentials": ("none named", "the machine's own role would be used"),
        "Cloud Storage: address": ("its own", ""),
    }
    said = doctor.as_text(environment)
    assert "object storage\n" in said
    assert "AKIAX" not in said
    paths = json.loads(doctor.as_json(environment))["paths"]
    assert (paths["data"], paths["checkpoints"]) == ("s3://bucket/data", "gs://bucket/runs")
    assert describe_locations(Environment({}, frozenset(), tmp_path), {}) == []
