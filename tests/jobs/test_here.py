"""What is said and refused before anything heavy is loaded."""

import json
from pathlib import Path

import pytest

from medlora.errors import ConfigError, MissingPartError
from medlora.jobs import doctor, here
from medlora.jobs.settings import Options, resolve
from medlora.runtime import Environment
from tests.runtime import platforms


def test_the_attempt_is_in_the_plan(tmp_path: Path) -> None:
    """What every manifest states as `job`."""
    options = Options(data="/d", model="/m", config="recommended")
    variables = platforms.batch(AWS_BATCH_JOB_ATTEMPT="2")
    plan = resolve(options, Environment(variables, frozenset(), tmp_path))
    assert plan.job == {"platform": "aws-batch", "job": "a1b2", "attempt": 2}
    wrong = Environment(platforms.batch(AWS_BATCH_JOB_ATTEMPT="second"), frozenset(), tmp_path)
    with pytest.raises(ConfigError, match=r"AWS_BATCH_JOB_ATTEMPT: .*a text of 6 characters"):
        resolve(options, wrong)


@pytest.mark.parametrize(
    "variables",
    [
        {"MEDLORA_NPROC": "2"},
        platforms.batch_nodes(1),
        platforms.pet(0, 1, "2"),
        platforms.torchrun(1, 1, workers=2, world=2),
    ],
)
def test_several_workers_are_refused_for_now(variables: dict[str, str], tmp_path: Path) -> None:
    """69, said plainly, before anything is loaded."""
    with pytest.raises(MissingPartError, match="more than one worker is not built yet") as error:
        here.announce(Environment(variables, frozenset(), tmp_path), {})
    assert error.value.exit_code == 69


def test_several_gpus_by_chance_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on with the first, and says so."""
    lines: list[str] = []
    monkeypatch.setattr(here._log, "info", lambda text, *values: lines.append(text % values))
    case = platforms.Recorded({}, "local", (0, 1), gpus=4)
    here.announce(case.environment(tmp_path), {"checkpoints": "/runs"})
    assert lines[-1] == "4 GPUs are visible; training uses the first"
    assert lines[0] == "place: local (default), 10 s to end in (default)"
    assert "checkpoints /runs (option --checkpoints)" in lines[2]
    assert len(lines) == 4


def test_doctor_as_json_has_the_stated_keys(tmp_path: Path) -> None:
    """Values by name, and the source of each of them by its dotted name."""
    environment = platforms.PLATFORMS["aws-batch, second of 2"].environment(tmp_path)
    told = json.loads(doctor.as_json(environment))
    sources = told.pop("sources")
    paths = told.pop("paths")
    assert told == {
        "platform": "aws-batch",
        "node_rank": 1,
        "num_nodes": 2,
        "workers_per_node": 8,
        "master_addr": "10.0.0.4",
        "master_port": 29500,
        "grace_s": 30,
    }
    assert set(paths) == {"data", "model", "checkpoints", "output"}
    assert set(sources) == set(told) | {f"paths.{name}" for name in paths}
    assert sources["node_rank"] == "variable AWS_BATCH_JOB_NODE_INDEX"
    assert sources["grace_s"] == "default for aws-batch"
