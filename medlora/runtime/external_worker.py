"""RANK and LOCAL_RANK: somebody else has started the workers, and this is one of them."""

from medlora.errors import ConfigError, MissingPartError
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.topology_source import Claim, needed


def from_worker(environment: Environment) -> Claim | None:
    """Return what torchrun's, or enroot's hook's, variables say of a running worker.

    Raises:
        ConfigError: the ranks contradict each other.
        MissingPartError: LOCAL_RANK or WORLD_SIZE stands alone.
    """
    local = environment.number("LOCAL_RANK")
    if local is None:
        return None
    rank = needed(environment, "RANK", beside="LOCAL_RANK")
    world = needed(environment, "WORLD_SIZE", beside="RANK", least=1)
    workers = _workers(environment, rank, local, world)
    _check(rank, local, world, workers)
    if world.value > 1 and not environment.text("MASTER_ADDR"):
        raise MissingPartError(
            "variable MASTER_ADDR is not set, although WORLD_SIZE is more than 1",
            fix="set it to the name or address of rank 0's machine",
        )
    nodes = world.value // workers.value
    return Claim(
        node_rank=_node_rank(environment, rank, local, workers),
        num_nodes=Fact(nodes, f"{world.source} / {workers.source}"),
        workers_per_node=workers,
        master_addr=environment.text("MASTER_ADDR"),
        master_port=environment.number("MASTER_PORT", least=1),
        rank=rank,
        local_rank=local,
    )


def _workers(
    environment: Environment, rank: Fact[int], local: Fact[int], world: Fact[int]
) -> Fact[int]:
    """Return the workers a machine: stated, Slurm's, or all that fit the ranks.

    Without a statement, the largest number that divides the world and puts this rank at this
    place of its machine.
    """
    stated = environment.number("LOCAL_WORLD_SIZE", least=1)
    if stated:
        return stated
    nodes = environment.number("SLURM_NNODES", least=1)
    tasks = environment.number("SLURM_NTASKS", least=1)
    if nodes and tasks and tasks.value == world.value and not tasks.value % nodes.value:
        return Fact(tasks.value // nodes.value, f"{tasks.source} / {nodes.source}")
    sizes = range(world.value, local.value, -1)
    fits = (n for n in sizes if world.value % n == 0 and rank.value % n == local.value)
    return Fact(next(fits, world.value), "WORLD_SIZE, RANK and LOCAL_RANK")


def _node_rank(
    environment: Environment, rank: Fact[int], local: Fact[int], workers: Fact[int]
) -> Fact[int]:
    """Return the machine's rank: torchrun's, Slurm's, or the one that the ranks imply."""
    for name in ("GROUP_RANK", "SLURM_NODEID"):
        stated = environment.number(name)
        if stated:
            return stated
    return Fact(rank.value // workers.value, f"{rank.source} / {local.source}")


def _check(rank: Fact[int], local: Fact[int], world: Fact[int], workers: Fact[int]) -> None:
    problems = {
        f"{rank.source}: {rank.value} is not below {world.source}: {world.value}": (
            rank.value >= world.value
        ),
        f"{local.source}: {local.value} is above {rank.source}: {rank.value}": (
            local.value > rank.value
        ),
        f"{local.source}: {local.value} is not below {workers.source}: {workers.value}": (
            local.value >= workers.value
        ),
        f"{world.source}: {world.value} is not a multiple of {workers.source}: {workers.value}": (
            world.value % workers.value != 0
        ),
    }
    for problem, applies in problems.items():
        if applies:
            raise ConfigError(
                problem,
                fix="start all workers with the same launcher (torchrun, srun, ...), and leave its "
                "variables as they are",
            )
