"""What RANK alone and PET_*, variables of torchrun's, say about the machines of a job."""

from medlora.errors import ConfigError, MissingPartError
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.topology_source import Claim, needed, one_number, one_text

_PROC_WORDS = ("auto", "gpu", "cpu")  # torchrun's words for "as many as there are"


def is_node_of_trainer(environment: Environment) -> bool:
    """Tell whether RANK alone is set, as Kubeflow's PyTorchJob does."""
    return "RANK" in environment.variables and "LOCAL_RANK" not in environment.variables


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
        is_alone = nodes.value == 1
        rank = (
            Fact(0, nodes.source)
            if is_alone
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
