"""The surroundings are read once and never written by accident."""

import os
from pathlib import Path

import pytest

from medlora.errors import ConfigError
from medlora.runtime import Environment, batch_service, prepare_process, snapshot
from medlora.runtime.environment import _mount_points


def test_mount_points_are_those_of_the_kernel() -> None:
    """The root is always mounted; names with octal escapes are read."""
    assert Path("/") in snapshot().mount_points


def test_escaped_names_are_read(tmp_path: Path) -> None:
    """A blank in a mount's name is written as octal 040."""
    line = "36 35 98:0 /mnt1 /my\\040data rw,noatime master:1 - ext3 /dev/root rw\n"
    (tmp_path / "mountinfo").write_text(line)
    assert _mount_points(tmp_path / "mountinfo") == {Path("/my data")}
    assert _mount_points(tmp_path / "nothing") == frozenset()


def test_a_folder_is_given_when_it_is_mounted_or_filled(tmp_path: Path) -> None:
    """An empty folder of the image does not count, an empty mount does."""
    (tmp_path / "data").mkdir()
    plain = Environment({}, frozenset(), tmp_path)
    assert not plain.is_given(tmp_path / "data")
    assert not plain.is_given(tmp_path / "models")
    assert Environment({}, frozenset({tmp_path / "data"}), tmp_path).is_given(tmp_path / "data")
    (tmp_path / "data/train.jsonl").touch()
    assert plain.is_given(tmp_path / "data")


@pytest.mark.parametrize(
    ("variable", "service"),
    [
        ("AWS_BATCH_JOB_ID", "AWS Batch"),
        ("CLOUD_ML_JOB_ID", "Vertex AI"),
        ("JOB_COMPLETION_INDEX", "Kubernetes"),
        ("SLURM_JOB_ID", "Slurm"),
        ("HOME", None),
    ],
)
def test_batch_services_are_known_by_their_variables(
    variable: str, service: str | None, tmp_path: Path
) -> None:
    """The marks that the services document."""
    found = batch_service(Environment({variable: "1"}, frozenset(), tmp_path))
    assert (found.title if found else None) == service


def test_sagemaker_is_known_by_its_folder(tmp_path: Path) -> None:
    """SageMaker sets no variable of its own without AWS's toolkit."""
    (tmp_path / "opt/ml/input/config").mkdir(parents=True)
    found = batch_service(Environment({}, frozenset(), tmp_path))
    assert found
    assert found.title == "SageMaker"


def test_what_is_set_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and workspace are a user's to decide; the network is not."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    prepare_process()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "an empty text"),
        ("auto", "a text of 4 characters"),
        ("-1", "a negative number"),
        ("0", "a smaller number"),
        ("1.5", "a number that is not whole"),
        ("\u00b2", "a text of 1 characters"),  # int() and isdigit() disagree about it
    ],
)
def test_what_is_no_number_is_refused_by_its_kind(text: str, kind: str) -> None:
    """Name, kind and fix; the value itself is not repeated."""
    environment = Environment({"RANK": text}, frozenset())
    with pytest.raises(ConfigError, match=rf"variable RANK: .*\(got {kind}\)\n  fix: ") as error:
        environment.number("RANK", least=1)
    assert error.value.exit_code == 78


def test_an_empty_variable_of_ours_is_one_that_is_not_set() -> None:
    """Compose hands on what nobody set as an empty text."""
    assert Environment({"MEDLORA_NPROC": ""}, frozenset()).number("MEDLORA_NPROC") is None
