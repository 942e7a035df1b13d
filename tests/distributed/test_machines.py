"""Two machines, as network namespaces joined by a cable: each service's own variables, real runs.

Each machine has folders of its own; only data and base model are on both.
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import psutil
import pytest

from medlora.files import sha256_file
from medlora.jobs import train
from tests.runtime import platforms
from tests.tiny import run_plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.getuid() != 0 or shutil.which("ip") is None,
        reason="network namespaces need root and iproute2",
    ),
]
ADDRESSES = ("10.77.0.1", "10.77.0.2")
NAMES = ("algo-1", "algo-2")
ADAPTER = "adapter_model.safetensors"
LONGEST_S = 60  # that a machine may go on after another was lost
SETTINGS = (
    "training.num_train_epochs=3",
    "training.warmup_steps=2",
    "training.per_device_train_batch_size=1",
    "training.gradient_accumulation_steps=4",
    "training.gradient_checkpointing=false",
    "training.packing=false",
    "training.logging_steps=1",
    "training.eval_steps=2",
    "training.save_steps=1",
    "lora.r=4",
    "lora.lora_dropout=0.1",
    "data.eval_fraction=0.2",
    "run_name=shared",
)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass
class Machine:
    """A network namespace with a folder."""

    namespace: str
    folder: Path
    options: list[str]

    def start(self, variables: dict[str, str], *more: str) -> Popen[str]:
        """Start `medlora train` here; a sitecustomize of nobody's, a home of nobody's."""
        environment = {
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "MEDLORA_LOG_INTERVAL_S": "0",  # a line at every step, to be waited for
            **variables,
        }
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        inside = " && ".join(
            (
                "mount -t tmpfs none /opt",
                f"cp -r {self.folder}/opt/. /opt",
                'exec "$@"',
            )
        )
        places = ("--checkpoints", str(self.folder / "out"))
        return Popen(
            [
                *("ip", "netns", "exec", self.namespace, "sh", "-ec", inside, "sh"),
                *(sys.executable, "-P", "-m", "medlora", "train"),
                *self.options,
                *places,
                *more,
            ],
            stdout=PIPE,
            stderr=PIPE,
            text=True,
            env=environment,
        )


@pytest.fixture
def options(data_file: Path, base_folder: Path) -> list[str]:
    """What both machines are told."""
    sets = [part for one in SETTINGS for part in ("--set", one)]
    return ["--config", "recommended", "--data", str(data_file), "--model", str(base_folder), *sets]


@pytest.fixture
def machines(tmp_path: Path, options: list[str]) -> Iterator[list[Machine]]:
    """Two machines and a cable between them."""
    mark = uuid.uuid4().hex[:6]
    spaces = [f"ml{mark}{end}" for end in "ab"]
    made, found = [], []
    try:
        for space in spaces:
            _ip("netns", "add", space)
            made.append(space)
            _ip("-n", space, "link", "set", "lo", "up")
            hosts = Path("/etc/netns") / space / "hosts"  # `ip netns exec` mounts it
            hosts.parent.mkdir(parents=True)
            lines = [f"{one} {name}\n" for one, name in zip(ADDRESSES, NAMES, strict=True)]
            hosts.write_text("127.0.0.1 localhost\n" + "".join(lines), encoding="ascii")
            folder = tmp_path / space
            (folder / "opt").mkdir(parents=True)
            found.append(Machine(space, folder, options))
        _ip(
            *("link", "add", "eth0", "netns", spaces[0]),
            *("type", "veth", "peer", "name", "eth0", "netns", spaces[1]),
        )
        for space, address in zip(spaces, ADDRESSES, strict=True):
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
        yield found
    finally:
        for space in made:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
            shutil.rmtree(Path("/etc/netns") / space, ignore_errors=True)


@pytest.fixture
def expected(tmp_path: Path, options: list[str]) -> str:
    """The digest of one worker's adapter."""
    settings = options[options.index("--set") + 1 :: 2]
    data, base = (Path(options[options.index(name) + 1]) for name in ("--data", "--model"))
    train.run(run_plan(tmp_path, *settings, data=data, base=base, out="alone"))
    return sha256_file(tmp_path / "alone/shared/final" / ADAPTER)


def _batch(rank: int, _: Path) -> dict[str, str]:
    variables = platforms.batch_nodes(rank)
    if rank:
        variables["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = ADDRESSES[0]
    return variables


def _kubeflow_v1(rank: int, _: Path) -> dict[str, str]:
    return {"MASTER_ADDR": NAMES[0], "MASTER_PORT": "23456", "WORLD_SIZE": "2", "RANK": str(rank)}


def _kubeflow_v2(rank: int, _: Path) -> dict[str, str]:
    return {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_NODE_RANK": str(rank),
        "PET_MASTER_ADDR": NAMES[0],
        "PET_MASTER_PORT": "29500",
    }


def _sagemaker(rank: int, folder: Path) -> dict[str, str]:
    files = platforms.sagemaker(NAMES[rank], *NAMES)
    files["opt/ml/input/config/hyperparameters.json"] = {}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return {}


def _vertex(rank: int, _: Path) -> dict[str, str]:
    pools = {"workerpool0": [f"{NAMES[0]}:2222"], "workerpool1": [f"{NAMES[1]}:2222"]}
    task = {"type": f"workerpool{rank}", "index": 0, "trial": ""}
    return {"CLOUD_ML_JOB_ID": "77", "CLUSTER_SPEC": json.dumps({"cluster": pools, "task": task})}


Service = Callable[[int, Path], dict[str, str]]


def _start_both(machines: list[Machine], service: Service) -> list[Popen[str]]:
    return [
        one.start(service(rank, one.folder), "--output", str(one.folder / "out"))
        for rank, one in enumerate(machines)
    ]


@pytest.mark.parametrize(
    "service",
    [_batch, _kubeflow_v1, _kubeflow_v2, _sagemaker, _vertex],
    ids=lambda one: one.__name__,
)
def test_two_machines_end_with_the_adapter_of_one(
    service: Service, machines: list[Machine], expected: str
) -> None:
    """By each service's own variables; the first machine alone has the result."""
    started = _start_both(machines, service)
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)
    assert sha256_file(machines[0].folder / "out/shared/final" / ADAPTER) == expected
    assert not (machines[1].folder / "out/shared").exists()
    assert "machine 2 of 2" in said[1]


def test_a_lost_worker_ends_the_other_machine_which_names_it_and_a_retry_finishes(
    machines: list[Machine], expected: str
) -> None:
    """Within a minute, with a code that is retried; nothing that was committed is lost."""
    started = _start_both(machines, _kubeflow_v2)
    assert started[0].stderr is not None
    said = ""
    for line in started[0].stderr:
        said += line
        if line.startswith("step 2/"):
            break
    for worker in psutil.Process(started[1].pid).children():
        worker.kill()
    rest, _ = started[0].communicate(timeout=LONGEST_S), started[1].communicate(timeout=LONGEST_S)
    assert [process.returncode for process in started] == [137, 137], said + rest[1]
    assert "machine 2 of 2" in rest[1]
    assert "step_" in rest[1]

    again = _start_both(machines, _kubeflow_v2)
    told = [process.communicate()[1] for process in again]
    assert [process.returncode for process in again] == [0, 0], "\n".join(told)
    assert "going on from step_" in told[0]
    assert sha256_file(machines[0].folder / "out/shared/final" / ADAPTER) == expected
