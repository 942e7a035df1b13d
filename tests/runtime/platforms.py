"""Recorded environments: what each platform sets, for one machine and for several.

Values are shaped as the platforms' documentation shows them; hosts and ids are made up.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlora.runtime import Environment

ADDRESS = "10.0.7.7"  # of this machine


IMAGE = ("data", "config", "models", "checkpoints")
IN_IMAGE = {"data": "data", "model": "models", "checkpoints": "checkpoints"}
NO_IMAGE = {"data": "data", "model": "models"}  # the defaults, where nothing is mounted


@dataclass(frozen=True)
class Recorded:
    """An environment, and what it is to be resolved to; files and paths are below the root.

    The image's empty folders are there unless `folders` says otherwise.
    """

    variables: dict[str, str]
    platform: str
    nodes: tuple[int, int]  # rank, number
    workers: int = 1
    master: tuple[str, int] = ("127.0.0.1", 29500)
    paths: dict[str, str] = field(default_factory=lambda: IN_IMAGE)
    grace_s: int = 30
    files: dict[str, Any] = field(default_factory=dict)
    folders: tuple[str, ...] = IMAGE
    gpus: int = 0

    def environment(self, root: Path) -> Environment:
        """Lay the files out and return the surroundings."""
        for name, content in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        for name in self.folders:
            (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(self.gpus):
            (root / "dev").mkdir(exist_ok=True)
            (root / f"dev/nvidia{number}").touch()
        return Environment(self.variables, frozenset(), root, ADDRESS)


def batch(**more: str) -> dict[str, str]:
    """AWS Batch's variables."""
    return {"AWS_BATCH_JOB_ID": "a1b2", "AWS_BATCH_JOB_ATTEMPT": "1", **more}


def batch_nodes(index: int, **more: str) -> dict[str, str]:
    """AWS Batch's variables of one of two nodes; the main one is told no address."""
    others = {"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "10.0.0.4"} if index else {}
    return batch(
        AWS_BATCH_JOB_NODE_INDEX=str(index),
        AWS_BATCH_JOB_NUM_NODES="2",
        AWS_BATCH_JOB_MAIN_NODE_INDEX="0",
        **others,
        **more,
    )


def sagemaker(current: str, *hosts: str) -> dict[str, Any]:
    """SageMaker's files."""
    channel = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    return {
        "opt/ml/input/config/hyperparameters.json": {"learning_rate": "1e-4"},
        "opt/ml/input/config/inputdataconfig.json": {"train": channel, "model": channel},
        "opt/ml/input/config/resourceconfig.json": {
            "current_host": current,
            "hosts": list(hosts),
            "network_interface_name": "eth0",
        },
    }


SAGEMAKER_PATHS = {
    "data": "opt/ml/input/data/train",
    "model": "opt/ml/input/data/model",
    "checkpoints": "opt/ml/checkpoints",
    "output": "opt/ml/model",
}


def vertex(pool: str, index: int, *others: str) -> dict[str, str]:
    """Vertex AI's variables; `others` are the hosts of the second pool."""
    spec = {
        "cluster": {"workerpool0": ["cmle-0.local:2222"], "workerpool1": list(others)},
        "task": {"type": pool, "index": index, "trial": ""},
        "environment": "cloud",
    }
    return {
        "CLOUD_ML_JOB_ID": "77",
        "CLUSTER_SPEC": json.dumps(spec),
        "AIP_MODEL_DIR": "gs://bucket/out/model/",
        "AIP_CHECKPOINT_DIR": "gs://bucket/out/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://bucket/out/logs/",
        "AIP_TRAINING_DATA_URI": "gs://bucket/data",
    }


VERTEX_PATHS = {
    "data": "gcs/bucket/data",
    "model": "models",
    "checkpoints": "gcs/bucket/out/checkpoints",
    "output": "gcs/bucket/out/model",
    "logs": "gcs/bucket/out/logs",
}


def pet(rank: int, nodes: int, workers: str) -> dict[str, str]:
    """Kubeflow Trainer v2's variables."""
    return {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "PET_NNODES": str(nodes),
        "PET_NPROC_PER_NODE": workers,
        "PET_NODE_RANK": str(rank),
        "PET_MASTER_ADDR": "tune-node-0-0.tune",
        "PET_MASTER_PORT": "29500",
    }


def pytorch_job(rank: int, replicas: int, workers: int) -> dict[str, str]:
    """Kubeflow v1's variables: RANK is the replica's, WORLD_SIZE counts all workers."""
    return {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "MASTER_ADDR": "tune-master-0",
        "MASTER_PORT": "23456",
        "WORLD_SIZE": str(replicas * workers),
        "RANK": str(rank),
        "PET_NNODES": str(replicas),
        "PET_NPROC_PER_NODE": str(workers),
        "PET_NODE_RANK": str(rank),
        "PET_MASTER_ADDR": "tune-master-0",
        "PET_MASTER_PORT": "23456",
    }


def slurm(node: int, nodes: int, task: int, tasks: int, hosts: str) -> dict[str, str]:
    """The variables of a Slurm step's task."""
    return {
        "SLURM_JOB_ID": "4540",
        "SLURM_NNODES": str(nodes),
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_NODEID": str(node),
        "SLURM_PROCID": str(task),
        "SLURM_LOCALID": str(task % (tasks // nodes)),
        "SLURM_NTASKS": str(tasks),
        "SLURM_JOB_NODELIST": hosts,
    }


def enroot(task: int, tasks: int) -> dict[str, str]:
    """What enroot's PyTorch hook adds to Slurm's variables."""
    return {
        "PYTORCH_VERSION": "2.13.0",
        "MASTER_ADDR": "gpu03",
        "MASTER_PORT": "61004",
        "WORLD_SIZE": str(tasks),
        "RANK": str(task),
        "LOCAL_RANK": str(task % 4),
    }


def torchrun(rank: int, local: int, *, workers: int, world: int) -> dict[str, str]:
    """What torchrun tells a worker."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(workers),
        "GROUP_RANK": str(rank // workers),
        "GROUP_WORLD_SIZE": str(world // workers),
        "MASTER_ADDR": "head",
        "MASTER_PORT": "29400",
    }


DOCKER = {".dockerenv": ""}
PLATFORMS = {
    "local": Recorded({}, "local", (0, 1), paths=NO_IMAGE, folders=(), grace_s=10),
    "local, 4 GPUs": Recorded({}, "local", (0, 1), 4, gpus=4, grace_s=10),
    "local, 2 of 4 GPUs": Recorded(
        {"CUDA_VISIBLE_DEVICES": "1,3"}, "local", (0, 1), 2, gpus=4, grace_s=10
    ),
    "docker": Recorded({}, "docker", (0, 1), files=DOCKER, grace_s=10),
    "docker, 2 workers": Recorded(
        {"MEDLORA_NPROC": "2", "MEDLORA_CHECKPOINTS": "/mnt/runs", "MEDLORA_GRACE_S": "60"},
        "docker",
        (0, 1),
        2,
        paths={"data": "data", "checkpoints": "/mnt/runs", "output": "/mnt/runs"},
        files=DOCKER,
        grace_s=60,
    ),
    "docker, second of 2": Recorded(
        torchrun(3, 1, workers=2, world=4),
        "docker",
        (1, 2),
        2,
        ("head", 29400),
        IN_IMAGE,
        10,
        DOCKER,
        IMAGE,
    ),
    "aws-batch": Recorded(batch(), "aws-batch", (0, 1)),
    "aws-batch, main of 2": Recorded(
        batch_nodes(0), "aws-batch", (0, 2), 8, (ADDRESS, 29500), IN_IMAGE, gpus=8
    ),
    "aws-batch, second of 2": Recorded(
        batch_nodes(1), "aws-batch", (1, 2), 8, ("10.0.0.4", 29500), IN_IMAGE, gpus=8
    ),
    "sagemaker": Recorded(
        {},
        "sagemaker",
        (0, 1),
        4,
        ("algo-1", 29500),
        SAGEMAKER_PATHS,
        120,
        sagemaker("algo-1", "algo-1"),
        gpus=4,
    ),
    "sagemaker, second of 2": Recorded(
        {"TRAINING_JOB_NAME": "tune"},
        "sagemaker",
        (1, 2),
        1,
        ("algo-1", 29500),
        SAGEMAKER_PATHS,
        120,
        sagemaker("algo-2", "algo-1", "algo-2"),
    ),
    "vertex": Recorded(
        vertex("workerpool0", 0), "vertex", (0, 1), 1, ("cmle-0.local", 2222), VERTEX_PATHS, 10
    ),
    "vertex, third of 3": Recorded(
        vertex("workerpool1", 1, "cmle-1a.local:2222", "cmle-1b.local:2222"),
        "vertex",
        (2, 3),
        1,
        ("cmle-0.local", 2222),
        VERTEX_PATHS,
        10,
    ),
    "kubernetes": Recorded(
        {"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
        "kubernetes",
        (0, 1),
    ),
    "kubernetes, indexed, alone": Recorded({"JOB_COMPLETION_INDEX": "0"}, "kubernetes", (0, 1)),
    "kubernetes, indexed, third of 4": Recorded(
        {"JOB_COMPLETION_INDEX": "2", "WORLD_SIZE": "4", "MASTER_ADDR": "tune-0.tune"},
        "kubernetes",
        (2, 4),
        master=("tune-0.tune", 29500),
    ),
    "kubeflow v2": Recorded(pet(0, 1, "2"), "kubeflow", (0, 1), 2, ("tune-node-0-0.tune", 29500)),
    "kubeflow v2, fourth of 4": Recorded(
        pet(3, 4, "auto"), "kubeflow", (3, 4), 8, ("tune-node-0-0.tune", 29500), gpus=8
    ),
    "kubeflow v1": Recorded(pytorch_job(0, 1, 1), "kubeflow", (0, 1), 1, ("tune-master-0", 23456)),
    "kubeflow v1, third of 3": Recorded(
        pytorch_job(2, 3, 4), "kubeflow", (2, 3), 4, ("tune-master-0", 23456)
    ),
    "slurm": Recorded(slurm(0, 1, 0, 1, "cpu7"), "slurm", (0, 1), 1, ("cpu7", 61004)),
    "slurm, a task a machine": Recorded(
        slurm(1, 2, 1, 2, "gpu[03-04]"), "slurm", (1, 2), 4, ("gpu03", 61004), gpus=4
    ),
    "slurm, a task a GPU": Recorded(
        slurm(1, 2, 5, 8, "gpu[03-04]"), "slurm", (1, 2), 4, ("gpu03", 61004), gpus=4
    ),
    "slurm with enroot's hook": Recorded(
        {**slurm(1, 2, 5, 8, "gpu[03-04]"), **enroot(5, 8)}, "slurm", (1, 2), 4, ("gpu03", 61004)
    ),
    "torchrun, one machine": Recorded(
        torchrun(1, 1, workers=2, world=2), "local", (0, 1), 2, ("head", 29400), grace_s=10
    ),
    "torchrun, second of 2": Recorded(
        torchrun(3, 1, workers=2, world=4), "local", (1, 2), 2, ("head", 29400), grace_s=10
    ),
    "ranks alone": Recorded(
        {
            key: value
            for key, value in torchrun(3, 1, workers=2, world=4).items()
            if key not in {"LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE"}
        },
        "local",
        (1, 2),
        2,
        ("head", 29400),
        grace_s=10,
    ),
}
