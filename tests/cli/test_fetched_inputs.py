"""Inputs come here before the work and go after it, in one order for every command."""

from pathlib import Path

import pytest

from medlora.cli.fetched_inputs import prepared
from medlora.config import Resolved
from medlora.errors import ConfigError, DataError
from medlora.plan.resolve_run import Options
from medlora.runtime import Environment
from tests.storage.conftest import S3


@pytest.fixture
def machine(tmp_path: Path) -> Environment:
    """A machine with a folder for temporary files, where nobody named a place for copies."""
    (tmp_path / "root/tmp").mkdir(parents=True)
    return Environment({}, frozenset(), tmp_path / "root")


@pytest.fixture
def options(s3: S3, data_file: Path, base_folder: Path, tmp_path: Path) -> Options:
    """Config and data in a bucket, the base on this machine."""
    (tmp_path / "run.yaml").write_text("run_name: fetched\n")
    store = s3.store("in")
    store.put(tmp_path / "run.yaml", "config/run.yaml")
    store.put(data_file, "data/train.jsonl")
    return Options(
        config=s3.url("in/config/run.yaml"), data=s3.url("in/data"), model=str(base_folder)
    )


def copies(machine: Environment) -> list[str]:
    """Names of all files in the folder for temporary files."""
    return sorted(path.name for path in (machine.root / "tmp").rglob("*.*") if path.is_file())


def test_copies_are_there_for_the_work_and_gone_after_it(
    options: Options, machine: Environment
) -> None:
    """Where nobody named a place for them; work that fails leaves them to the next start."""

    def fail() -> None:
        with prepared(options, machine):
            raise DataError("a row is wrong", fix="correct it")

    with pytest.raises(DataError):
        fail()
    assert {"run.yaml", "train.jsonl"} <= set(copies(machine))
    with prepared(options, machine) as plan:
        assert plan.resolved.config.run_name == "fetched"
        assert Path(plan.resolved.config.data.path, "train.jsonl").is_file()
    assert not {"run.yaml", "train.jsonl"} & set(copies(machine))


def test_what_cannot_go_well_is_refused_before_data_is_fetched(
    options: Options, machine: Environment
) -> None:
    """Only the config is here by then."""

    def refuse(resolved: Resolved) -> None:
        raise ConfigError(f"{resolved.config.run_name}: no", fix="none")

    with pytest.raises(ConfigError, match="fetched: no"), prepared(options, machine, refuse=refuse):
        pass
    assert "run.yaml" in copies(machine)
    assert "train.jsonl" not in copies(machine)
