"""Recorded environments resolve to the right machines, workers and places; or are refused."""

from pathlib import Path

import pytest

from medlora.errors import ConfigError, MedloraError
from medlora.runtime import Environment, attempt, find_paths, find_topology, grace, platform
from medlora.runtime.own_address import own_address
from medlora.runtime.platforms.slurm import first_host
from tests.runtime import platforms


@pytest.mark.parametrize("name", platforms.PLATFORMS)
def test_a_recorded_environment_resolves(name: str, tmp_path: Path) -> None:
    """Platform, rank, machines, workers, meeting point, paths and time to leave."""
    case = platforms.PLATFORMS[name]
    environment = case.environment(tmp_path)
    found, paths = find_topology(environment), find_paths(environment)
    assert platform(environment).value == case.platform
    assert (found.node_rank.value, found.num_nodes.value) == case.nodes
    assert found.workers_per_node.value == case.workers
    assert (found.master_addr.value, found.master_port.value) == case.master
    assert grace(environment).value == case.grace_s
    for place, path in case.paths.items():
        assert paths[place].value == str(tmp_path / path)


def test_every_platform_is_there_alone_and_with_others() -> None:
    """The table covers what it promises: eight platforms, each on one machine and on several."""
    single = {case.platform for case in platforms.PLATFORMS.values() if case.nodes[1] == 1}
    several = {case.platform for case in platforms.PLATFORMS.values() if case.nodes[1] > 1}
    services = {"aws-batch", "sagemaker", "vertex", "kubernetes", "kubeflow", "slurm"}
    assert single == several == services | {"local", "docker"}
    assert all(case.paths for case in platforms.PLATFORMS.values())


@pytest.mark.parametrize(
    ("name", "rank", "local"),
    [
        ("slurm, a task a GPU", 5, 1),
        ("slurm with enroot's hook", 5, 1),
        ("torchrun, second of 2", 3, 1),
    ],
)
def test_workers_that_somebody_started_know_their_ranks(
    name: str, rank: int, local: int, tmp_path: Path
) -> None:
    """Nothing more is to be started there."""
    found = find_topology(platforms.PLATFORMS[name].environment(tmp_path))
    assert found.rank
    assert found.local_rank
    assert (found.rank.value, found.local_rank.value) == (rank, local)
    assert not found.by_gpus


def test_each_value_has_its_source(tmp_path: Path) -> None:
    """Variable, file or default."""
    found = find_topology(platforms.PLATFORMS["sagemaker, second of 2"].environment(tmp_path))
    file = tmp_path / "opt/ml/input/config/resourceconfig.json"
    assert found.node_rank.source == found.master_addr.source == f"file {file}"
    assert found.master_port.source == "default"
    assert found.network_interface == ("eth0", f"file {file}")
    assert not found.is_master
    found = find_topology(
        Environment(platforms.batch_nodes(0), frozenset(), tmp_path / "b", "10.1.1.1")
    )
    assert found.node_rank.source == "variable AWS_BATCH_JOB_NODE_INDEX"
    assert found.master_addr == ("10.1.1.1", "own address: this is the main node")
    assert found.is_master


CLUSTER = platforms.vertex("workerpool1", 0, "b:2222")
BROKEN = {
    "rank beyond the machines": ({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "a"}, 78, "RANK"),
    "no number": ({"RANK": "one", "WORLD_SIZE": "2"}, 78, "RANK.*a text of 3 characters"),
    "a negative rank": ({"PET_NNODES": "2", "PET_NODE_RANK": "-1"}, 78, "PET_NODE_RANK.*negative"),
    "rank without a total": ({"RANK": "0"}, 69, "WORLD_SIZE is not set"),
    "no meeting point": ({"RANK": "0", "WORLD_SIZE": "2"}, 69, "MASTER_ADDR"),
    "a worker's rank alone": ({"LOCAL_RANK": "0"}, 69, "RANK is not set, although LOCAL_RANK is"),
    "a worker beyond the world": (
        {"RANK": "2", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a"},
        78,
        "RANK: 2 is not below",
    ),
    "a worker beyond its machine": (
        platforms.torchrun(3, 3, workers=2, world=4),
        78,
        "LOCAL_RANK: 3 is not below variable LOCAL_WORLD_SIZE: 2",
    ),
    "an uneven world": (
        platforms.torchrun(1, 1, workers=2, world=3),
        78,
        "WORLD_SIZE: 3 is not a multiple",
    ),
    "two ranks": (
        {**platforms.pytorch_job(1, 2, 1), "PET_NODE_RANK": "0"},
        78,
        "RANK and variable PET_NODE_RANK disagree",
    ),
    "two totals": (
        {**platforms.pytorch_job(1, 2, 1), "PET_NNODES": "3"},
        78,
        "disagree about the number of machines: 2 and 3",
    ),
    "two addresses": (
        {**platforms.pytorch_job(1, 2, 1), "PET_MASTER_ADDR": "b"},
        78,
        "MASTER_ADDR and variable PET_MASTER_ADDR disagree",
    ),
    "two services": (
        {**platforms.batch_nodes(1), **platforms.slurm(0, 2, 0, 2, "a,b")},
        78,
        "AWS_BATCH_JOB_NODE_INDEX and variable SLURM_NODEID disagree",
    ),
    "elastic": ({"PET_NNODES": "1:4", "PET_NODE_RANK": "0"}, 78, "PET_NNODES.*a range"),
    "half of PET": ({"PET_NNODES": "2"}, 69, "PET_NODE_RANK is not set"),
    "a child without the main's address": (
        batch := {k: v for k, v in platforms.batch_nodes(1).items() if "IPV4" not in k},
        69,
        "set AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS",
    ),
    "Batch without an index": (
        {k: v for k, v in batch.items() if k != "AWS_BATCH_JOB_NODE_INDEX"},
        69,
        "AWS_BATCH_JOB_NODE_INDEX is not set",
    ),
    "an index without a total": ({"JOB_COMPLETION_INDEX": "1"}, 69, "JOB_COMPLETION_INDEX"),
    "a broken cluster": ({"CLUSTER_SPEC": '{"cluster":'}, 78, "CLUSTER_SPEC: not JSON"),
    "a cluster without a task": ({"CLUSTER_SPEC": '{"cluster": {}}'}, 78, "CLUSTER_SPEC"),
    "a third pool": (
        {"CLUSTER_SPEC": CLUSTER["CLUSTER_SPEC"].replace('"type": "workerpool1', '"type": "wp2')},
        78,
        "not in workerpool0 or workerpool1",
    ),
    "a task beyond its pool": (
        {"CLUSTER_SPEC": CLUSTER["CLUSTER_SPEC"].replace('"index": 0', '"index": 1')},
        78,
        "task.index 1 is not one of 1",
    ),
    "uneven tasks": (
        platforms.slurm(0, 2, 0, 2, "a,b") | {"SLURM_NTASKS": "3"},
        78,
        "SLURM_NTASKS",
    ),
    "no workers": ({"MEDLORA_NPROC": "0"}, 78, "MEDLORA_NPROC.*at least 1"),
    "a wish beside running workers": (
        {**platforms.torchrun(1, 1, workers=2, world=2), "MEDLORA_NPROC": "4"},
        78,
        "MEDLORA_NPROC and variable LOCAL_WORLD_SIZE disagree",
    ),
    "no port": (
        {"MASTER_PORT": "70000"} | {"RANK": "0", "WORLD_SIZE": "1"},
        78,
        "70000 is not a port",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_contradiction_is_refused_at_once(name: str, tmp_path: Path) -> None:
    """78, or 69 where a part is missing: the variable, the kind, the fix."""
    variables, code, says = BROKEN[name]
    with pytest.raises(MedloraError, match=says) as error:
        find_topology(Environment(variables, frozenset(), tmp_path))
    assert error.value.exit_code == code
    assert "\n  fix: " in str(error.value)


def test_two_platforms_at_once_are_one_too_many(tmp_path: Path) -> None:
    """A file of one and variables of another: both are named."""
    environment = platforms.PLATFORMS["sagemaker, second of 2"].environment(tmp_path)
    both = Environment(platforms.batch_nodes(0), frozenset(), environment.root)
    with pytest.raises(ConfigError, match=r"resourceconfig\.json and variable AWS_BATCH.*disagree"):
        find_topology(both)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", r"must be an object \(got a list\)"),
        ('{"current_host": "algo-3", "hosts": ["algo-1"]}', "current_host is not one of hosts"),
        ('{"current_host": "a", "hosts": "a"}', r"hosts: must be a list .*\(got a text"),
        ('{"current_host": "a", "hosts": ["a", "a"]}', "different names"),
    ],
)
def test_a_broken_resourceconfig_is_refused(content: str, says: str, tmp_path: Path) -> None:
    """78, with the file's name."""
    files = {"opt/ml/input/config/resourceconfig.json": content}
    environment = platforms.Recorded({}, "sagemaker", (0, 1), files=files).environment(tmp_path)
    with pytest.raises(ConfigError, match=rf"resourceconfig\.json.*{says}"):
        find_topology(environment)


def test_torchrun_may_use_a_part_of_what_slurm_gave(tmp_path: Path) -> None:
    """A batch script on the first of two machines starts two workers there."""
    variables = platforms.slurm(0, 2, 0, 2, "a,b") | platforms.torchrun(1, 1, workers=2, world=2)
    found = find_topology(Environment(variables, frozenset(), tmp_path))
    assert (found.num_nodes.value, found.workers_per_node.value) == (1, 2)


@pytest.mark.parametrize(
    ("visible", "devices", "gpus"),
    [
        (None, 0, 1),
        (None, 3, 3),
        ("", 3, 1),
        ("-1", 3, 1),
        ("NoDevFiles", 3, 1),
        ("0,1", 3, 2),
        ("0,7,1", 3, 1),
        ("GPU-8932f937, MIG-1/2/3", 3, 2),
        ("0,1,2,3", 0, 4),
    ],
)
def test_workers_are_as_many_as_visible_gpus(
    visible: str | None, devices: int, gpus: int, tmp_path: Path
) -> None:
    """As CUDA reads its list: up to the first entry that is no device; without any, a CPU."""
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    case = platforms.Recorded(variables, "local", (0, 1), gpus=devices)
    found = find_topology(case.environment(tmp_path))
    assert found.workers_per_node.value == gpus
    assert found.by_gpus


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node7", "node7"),
        ("a,b", "a"),
        ("gpu[03-05,9],cpu1", "gpu03"),
        ("gpu[9,03-05]", "gpu9"),
        ("r[1-2]n[01-16]", "r1n01"),
        ("r[2,4]-ib", "r2-ib"),
    ],
)
def test_the_first_host_of_slurms_list(hosts: str, first: str) -> None:
    """Ranges keep their zeros."""
    assert first_host(hosts) == first


@pytest.mark.parametrize(
    ("variables", "number"),
    [
        ({}, None),
        (platforms.batch(), 1),
        (platforms.batch() | {"AWS_BATCH_JOB_ATTEMPT": "3"}, 3),
        ({"SLURM_JOB_ID": "1"}, None),
        ({"SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": "2"}, 3),
    ],
)
def test_attempts_count_from_one(variables: dict[str, str], number: int | None) -> None:
    """Slurm's counter counts restarts, AWS Batch's attempts."""
    found = attempt(Environment(variables, frozenset(), Path("/nowhere")))
    assert (found.value if found else None) == number


def test_the_own_address_is_no_secret_and_no_question(tmp_path: Path) -> None:
    """An IPv4 address of an interface; a machine without a route still has one."""
    for routes in (Path("/proc/net/route"), tmp_path / "nothing"):
        parts = own_address(routes).split(".")
        assert len(parts) == 4
        assert all(0 <= int(part) <= 255 for part in parts)


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("s3://b/p", "an? s3:// location"),
        ("gs://b/../p", "an? gs:// location"),
        ("gs://", "an? gs:// location"),
        ("b/p", "a text"),
    ],
)
def test_a_location_that_is_not_mounted_is_refused(
    location: str, kind: str, tmp_path: Path
) -> None:
    """78, with the variable's name."""
    environment = Environment({"AIP_MODEL_DIR": location}, frozenset(), tmp_path)
    with pytest.raises(ConfigError, match=rf"variable AIP_MODEL_DIR: .*\(got {kind}\)"):
        find_paths(environment)


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ({"train": {"TrainingInputMode": "Pipe"}}, "channel train has the input mode Pipe"),
        ({"train": {}, "training": {}}, "the channels train and training mean the same"),
        ({"train": {"S3DistributionType": "ShardedByS3Key"}}, "channel train is sharded"),
        ([], r"must be an object \(got a list\)"),
    ],
)
def test_a_channel_that_cannot_be_read_is_refused(
    channels: object, says: str, tmp_path: Path
) -> None:
    """78, with the file's name and the channel's."""
    files = platforms.sagemaker("algo-1", "algo-1", "algo-2")
    files["opt/ml/input/config/inputdataconfig.json"] = channels
    environment = platforms.Recorded({}, "sagemaker", (0, 2), files=files).environment(tmp_path)
    with pytest.raises(ConfigError, match=rf"inputdataconfig\.json.*{says}"):
        find_paths(environment)


def test_channels_are_folders_where_the_service_says_nothing(tmp_path: Path) -> None:
    """As in SageMaker's local mode of old."""
    folders = ("opt/ml/input/config", "opt/ml/input/data/training")
    case = platforms.Recorded({}, "sagemaker", (0, 1), folders=folders)
    paths = find_paths(case.environment(tmp_path))
    assert paths["data"].value == str(tmp_path / "opt/ml/input/data/training")


def test_our_variables_beat_the_platforms(tmp_path: Path) -> None:
    """For a place as for the number of workers; a bucket's name is understood on Vertex AI."""
    variables = {
        **platforms.vertex("workerpool0", 0),
        "MEDLORA_CHECKPOINTS": "gs://other/runs",
        "MEDLORA_DATA": "/mine",
        "MEDLORA_NPROC": "2",
    }
    environment = Environment(variables, frozenset(), tmp_path)
    paths = find_paths(environment)
    assert paths["checkpoints"] == (
        str(tmp_path / "gcs/other/runs"),
        "variable MEDLORA_CHECKPOINTS",
    )
    assert paths["data"].value == "/mine"
    assert paths["output"].source == "variable AIP_MODEL_DIR"
    assert find_topology(environment).workers_per_node == (2, "variable MEDLORA_NPROC")
