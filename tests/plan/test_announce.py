"""What is said and refused before anything heavy is loaded."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from medlora.config import Resolved, from_mapping
from medlora.errors import ConfigError
from medlora.jobs import doctor
from medlora.plan import announce
from medlora.plan.resolve_run import Options, resolve
from medlora.runtime import Environment, find_topology
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


def _asked_for(variables: dict[str, str], root: Path, *, gpus: int = 0, **keys: object) -> object:
    """The workers to start on a machine with these variables, None for this process alone."""
    case = platforms.Recorded(variables, "local", (0, 1), gpus=gpus)
    topology = announce.announce(case.environment(root), {})
    cfg = from_mapping({"training": {"gradient_accumulation_steps": 4}, **keys})
    return announce.workers_to_start(topology, cfg)


@pytest.mark.parametrize(
    ("variables", "workers"),
    [
        ({"MEDLORA_NPROC": "2"}, 2),
        (platforms.batch_nodes(1), 1),
        (platforms.pet(0, 1, "2"), 2),
        (platforms.torchrun(1, 1, workers=2, world=2), None),  # it is one of them
        ({}, None),
    ],
)
def test_what_is_started_here(
    variables: dict[str, str], workers: int | None, tmp_path: Path
) -> None:
    """Workers where several are asked for, and where nobody has started them."""
    found = _asked_for(variables, tmp_path)
    assert (found and found.workers_per_node.value) == workers


@pytest.mark.parametrize(("gpus", "workers"), [(1, None), (2, 2), (8, 4)])
def test_each_visible_gpu_has_a_worker_as_far_as_a_step_has_work(
    gpus: int, workers: int | None, tmp_path: Path
) -> None:
    """A step of four micro-batches occupies four."""
    found = _asked_for({}, tmp_path, gpus=gpus)
    assert (found and found.workers_per_node.value) == workers


PRIVATE = {"privacy": {"dp": {"target_epsilon": 8}}}


def test_what_is_for_one_worker_gets_one_or_is_refused(tmp_path: Path) -> None:
    """By chance visible GPUs are left alone; a number that was asked for is refused with 78."""
    assert _asked_for({}, tmp_path, gpus=2, **PRIVATE) is None
    with pytest.raises(ConfigError, match=r"target_epsilon is 8\.0: a private run has one worker"):
        _refuse({"MEDLORA_NPROC": "2"}, tmp_path, PRIVATE)
    sharded = {"training": {"sharding": "full"}, "model": {"load_in_4bit": True}}
    with pytest.raises(ConfigError, match=r"load_in_4bit is true and training\.sharding is full"):
        _refuse({"MEDLORA_NPROC": "2"}, tmp_path, sharded)
    _refuse({"MEDLORA_DEVICE": "cpu"}, tmp_path, PRIVATE)


def _refuse(variables: dict[str, str], root: Path, values: dict[str, Any]) -> None:
    environment = Environment(variables, frozenset(), root)
    resolved = Resolved(from_mapping(values), {})
    announce.refuse(resolved, environment, find_topology(environment))


def test_a_worker_that_is_not_the_first_says_nothing(tmp_path: Path) -> None:
    """Whoever started it has said it; its own lines are warnings and worse."""
    variables = platforms.torchrun(1, 1, workers=2, world=2)
    try:
        announce.announce(Environment(variables, frozenset(), tmp_path), {})
        assert not logging.getLogger("medlora").isEnabledFor(logging.INFO)
    finally:
        logging.getLogger("medlora").setLevel(logging.NOTSET)


def test_the_place_in_a_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each value with its source."""
    monkeypatch.setattr(logging.getLogger("medlora"), "propagate", True)
    caplog.set_level(logging.INFO, logger="medlora")
    case = platforms.Recorded({}, "local", (0, 1), gpus=4)
    announce.announce(case.environment(tmp_path), {"checkpoints": "/runs"})
    ours = (record for record in caplog.records if record.name == announce.__name__)
    # pytest listens twice where an earlier test has set the logs up.
    lines = list(dict.fromkeys(record.getMessage() for record in ours))
    assert lines[0] == "place: local (default), grace period 10 s (default)"
    assert "checkpoints /runs (option --checkpoints)" in lines[2]
    assert len(lines) == 3


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
