"""Input that cannot be used ends at once, with the exit code that tells why."""

import json
from collections.abc import Callable

import pytest

GOOD = {"prompt": "Is water wet?", "response": "Yes."}


@pytest.fixture
def given(tmp_path, for_group_0, demo_base) -> Callable[..., dict]:
    """Make what a run needs, and return its mounts; each part can be left out or replaced."""

    def make(*, third_row: str = json.dumps(GOOD), config: str = "", model: bool = True) -> dict:
        (tmp_path / "data").mkdir()
        (tmp_path / "config").mkdir()
        rows = [json.dumps(GOOD)] * 2 + [third_row] + [json.dumps(GOOD)] * 5
        (tmp_path / "data" / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
        (tmp_path / "config" / "config.yaml").write_text(config or "{}", encoding="utf-8")
        mounts = {
            "/data:ro": tmp_path / "data",
            "/config:ro": tmp_path / "config",
            "/checkpoints": for_group_0(tmp_path / "checkpoints"),
        }
        return {**mounts, "/models:ro": demo_base} if model else mounts

    return make


def test_malformed_row_is_named_by_its_line(run_image, given) -> None:
    """65, with file and line, and without the row's text."""
    ended = run_image("train", mounts=given(third_row='{"prompt": "secret question", "respo'))

    assert ended.rc == 65, ended.said
    assert "train.jsonl:3" in ended.stderr
    assert "secret question" not in ended.said


def test_unknown_key_gets_the_nearest_one(run_image, given) -> None:
    """78, with the place of the typo and the key that was meant."""
    mounts = given(config="run_name: typo\ntraining:\n  learning_rat: 0.001\n")

    ended = run_image("train", mounts=mounts)

    assert ended.rc == 78, ended.said
    assert "config.yaml:3" in ended.stderr
    assert "training.learning_rate" in ended.stderr


def test_data_without_a_model_is_no_demo(run_image, given) -> None:
    """69: own data never trains the demo's model by accident."""
    ended = run_image("train", mounts=given(model=False))

    assert ended.rc == 69, ended.said
    assert "DEMO" not in ended.said


def test_a_batch_job_without_data_is_no_demo(run_image) -> None:
    """A job whose mounts were forgotten fails instead of finishing with a demo adapter."""
    ended = run_image("train", env={"AWS_BATCH_JOB_ID": "8b3c2f4e"})

    assert ended.rc in {69, 78}, ended.said
    assert "DEMO" not in ended.said


def test_checkpoints_that_cannot_be_written(run_image, tmp_path) -> None:
    """74 before any time is spent on training."""
    (tmp_path / "checkpoints").mkdir()

    ended = run_image("train", mounts={"/checkpoints:ro": tmp_path / "checkpoints"}, timeout_s=60)

    assert ended.rc == 74, ended.said
    assert "/checkpoints" in ended.stderr


def test_errors_come_without_a_traceback(run_image, given) -> None:
    """A user's mistake reads as what, where and how to mend it."""
    ended = run_image("train", mounts=given(model=False))

    assert "\nerror: " in ended.stderr, ended.said  # after where it runs
    assert "\n  fix: " in ended.stderr
    assert "Traceback" not in ended.said
