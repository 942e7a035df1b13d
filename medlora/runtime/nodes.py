"""What RANK alone, PET_*, SageMaker, AWS Batch and Vertex AI say about the machines of a job."""

from typing import Any

from medlora.errors import ConfigError, MissingPartError
from medlora.files import storage_errors
from medlora.runtime.claims import Claim, malformed, needed, one_number, one_text, read_object
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.services import SAGEMAKER_CONFIG

_PROC_WORDS = ("auto", "gpu", "cpu")  # torchrun's words for "as many as there are"
_POOLS = ("workerpool0", "workerpool1")


def from_rank(environment: Environment) -> Claim | None:
    """Return what RANK alone says: a machine's rank, among WORLD_SIZE / PET_NPROC_PER_NODE.

    An Indexed Job's JOB_COMPLETION_INDEX stands for RANK where WORLD_SIZE states the total.
    """
    if "LOCAL_RANK" in environment.variables:
        return None
    rank = environment.number("RANK")
    if rank is None and "WORLD_SIZE" in environment.variables and not _has_pet(environment):
        rank = environment.number("JOB_COMPLETION_INDEX")
    if rank is None:
        return None
    return Claim(
        node_rank=rank,
        num_nodes=_nodes_of_world(environment),
        workers_per_node=_pet_workers(environment),
        master_addr=one_text(environment, "MASTER_ADDR", "PET_MASTER_ADDR"),
        master_port=one_number(environment, "MASTER_PORT", "PET_MASTER_PORT", least=1),
    )


def from_pet(environment: Environment) -> Claim | None:
    """Return what torchrun's own variables say, which Kubeflow's Trainer v2 sets."""
    if not _has_pet(environment):
        return None
    nodes = _pet_nodes(environment)
    rank = environment.number("PET_NODE_RANK") or environment.number("JOB_COMPLETION_INDEX")
    if rank is None:
        one = nodes.value == 1
        rank = (
            Fact(0, nodes.source)
            if one
            else needed(environment, "PET_NODE_RANK", beside="PET_NNODES")
        )
    return Claim(
        node_rank=rank,
        num_nodes=nodes,
        workers_per_node=_pet_workers(environment),
        master_addr=one_text(environment, "PET_MASTER_ADDR", "MASTER_ADDR"),
        master_port=one_number(environment, "PET_MASTER_PORT", "MASTER_PORT", least=1),
        address_name="PET_MASTER_ADDR",
    )


def from_sagemaker(environment: Environment) -> Claim | None:
    """Return what SageMaker's resourceconfig.json says; the first host is the master."""
    file = environment.root / SAGEMAKER_CONFIG / "resourceconfig.json"
    if not file.is_file():
        return None
    source = f"file {file}"
    with storage_errors(file):
        content = read_object(file.read_text(encoding="utf-8", errors="replace"), source)
    hosts, current = _names(content.get("hosts")), content.get("current_host")
    if not hosts or len(set(hosts)) < len(hosts):
        raise malformed(
            f"{source}, hosts", "must be a list of different names", content.get("hosts")
        )
    if current not in hosts:
        raise ConfigError(
            f"{source}: current_host is not one of hosts",
            fix="the platform writes it: leave it as it is, or remove it",
        )
    interface = content.get("network_interface_name")
    return Claim(
        node_rank=Fact(hosts.index(current), source),
        num_nodes=Fact(len(hosts), source),
        master_addr=Fact(hosts[0], source),
        network_interface=Fact(interface, source) if isinstance(interface, str) else None,
    )


def from_batch(environment: Environment) -> Claim | None:
    """Return what AWS Batch says of a multi-node job; its main node is told no address."""
    prefix = "AWS_BATCH_JOB_"
    if not {f"{prefix}NODE_INDEX", f"{prefix}NUM_NODES"} & environment.variables.keys():
        return None
    index = needed(environment, f"{prefix}NODE_INDEX", beside=f"{prefix}NUM_NODES")
    nodes = needed(environment, f"{prefix}NUM_NODES", beside=f"{prefix}NODE_INDEX", least=1)
    main = environment.number(f"{prefix}MAIN_NODE_INDEX") or Fact(0, "default")
    if main.value >= nodes.value:
        raise ConfigError(
            f"{main.source}: {main.value} is not one of {nodes.value} machines ({nodes.source})",
            fix="correct one of the two",
        )
    name = f"{prefix}MAIN_NODE_PRIVATE_IPV4_ADDRESS"
    address = environment.text(name)
    if address is None and index.value == main.value:
        address = Fact(environment.address, "own address: this is the main node")
    return Claim(
        node_rank=index,
        num_nodes=nodes,
        master_addr=address,
        main=main.value,
        address_name=name,
    )


def from_cluster_spec(environment: Environment) -> Claim | None:
    """Return what Vertex AI's CLUSTER_SPEC says: pool 0 is the master's, pool 1 the others'."""
    text = environment.text("CLUSTER_SPEC")
    if text is None:
        return None
    source = text.source
    content = read_object(text.value, source)
    cluster, task = content.get("cluster"), content.get("task")
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise malformed(source, "must have the objects cluster and task", content)
    pools = [_pool(cluster, name, source) for name in _POOLS]
    if task.get("type") not in _POOLS or not pools[0]:
        raise ConfigError(
            f"{source}: the task is not in {_POOLS[0]} or {_POOLS[1]}, or the first is empty",
            fix="use worker pools 0 and 1 only",
        )
    pool, index = _POOLS.index(task["type"]), task.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise malformed(f"{source}, task.index", "must be a whole number", index)
    if not 0 <= index < len(pools[pool]):
        raise ConfigError(
            f"{source}: task.index {index} is not one of {len(pools[pool])} in {task['type']}",
            fix="the platform writes it: leave it as it is, or remove it",
        )
    host, _, port = pools[0][0].rpartition(":") if ":" in pools[0][0] else (pools[0][0], "", "")
    return Claim(
        node_rank=Fact(index + (len(pools[0]) if pool else 0), source),
        num_nodes=Fact(sum(map(len, pools)), source),
        master_addr=Fact(host, source),
        master_port=Fact(int(port), source) if port.isdigit() else None,
    )


def _pool(cluster: dict[str, Any], name: str, source: str) -> list[str]:
    pool = cluster.get(name, [])
    if pool and not _names(pool):
        raise malformed(f"{source}, {name}", "must be a list of names", pool)
    return _names(pool)


def _names(value: Any) -> list[str]:  # noqa: ANN401  (any JSON value)
    """Return a list of names as it is, and [] for anything else."""
    fits = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
    return list(value) if fits else []


def _has_pet(environment: Environment) -> bool:
    return bool({"PET_NNODES", "PET_NODE_RANK"} & environment.variables.keys())


def _pet_nodes(environment: Environment) -> Fact[int]:
    """Return PET_NNODES, which torchrun also takes as a range: `2:2` is 2, `1:4` is refused."""
    text = environment.text("PET_NNODES")
    least, colon, most = (text.value if text else "").partition(":")
    if text and colon and least == most and least.isdigit():
        return Fact(int(least), text.source)
    if text and colon:
        raise ConfigError(
            f"{text.source}: must be one number of machines (got a range)",
            fix="a run has a fixed number of machines: set minimum and maximum to the same",
        )
    return needed(environment, "PET_NNODES", beside="PET_NODE_RANK", least=1)


def _pet_workers(environment: Environment) -> Fact[int] | None:
    if environment.variables.get("PET_NPROC_PER_NODE") in _PROC_WORDS:
        return None
    return environment.number("PET_NPROC_PER_NODE", least=1)


def _nodes_of_world(environment: Environment) -> Fact[int]:
    """Return the number of machines from WORLD_SIZE, which counts replicas x workers."""
    world = environment.number("WORLD_SIZE", least=1)
    if world is None:
        if _has_pet(environment):
            return _pet_nodes(environment)
        raise MissingPartError(
            "variable WORLD_SIZE is not set, although RANK is",
            fix="set WORLD_SIZE to the number of machines, or unset RANK",
        )
    workers = _pet_workers(environment)
    if workers is None:
        return world
    if world.value % workers.value:
        raise ConfigError(
            f"{world.source}: {world.value} is not a multiple of {workers.source}: {workers.value}",
            fix="correct one of the two",
        )
    return Fact(world.value // workers.value, f"{world.source} / {workers.source}")
