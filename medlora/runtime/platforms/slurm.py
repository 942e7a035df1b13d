"""Slurm: machines and tasks of a step, in variables."""

import re

from medlora.errors import ConfigError
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.platforms.platform import Platform, by_variables
from medlora.runtime.topology_source import Claim, needed

# enroot's PyTorch hook's: two jobs that share a machine seldom get the same.
_FIRST_PORT, _PORTS = 61000, 4536


def _nodes(environment: Environment) -> Claim | None:
    """Return what SLURM_* say; with more tasks than machines, each task is a worker already."""
    nodes = _first(environment, "SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES")
    if nodes is None or "SLURM_JOB_ID" not in environment.variables:
        return None
    node_rank = environment.number("SLURM_NODEID")
    if node_rank is None:
        if nodes.value > 1:
            node_rank = needed(environment, "SLURM_NODEID", beside="SLURM_NNODES")
        else:
            node_rank = Fact(0, nodes.source)
    job = needed(environment, "SLURM_JOB_ID", beside="SLURM_NNODES")
    tasks = _first(environment, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS") or nodes
    workers, rank, local = None, None, None
    if tasks.value > nodes.value:
        workers = _tasks_per_node(tasks, nodes)
        rank = needed(environment, "SLURM_PROCID", beside=tasks.source)
        local = needed(environment, "SLURM_LOCALID", beside=tasks.source)
        _check(rank, tasks)
        _check(local, workers)
    return Claim(
        node_rank=node_rank,
        num_nodes=nodes,
        workers_per_node=workers,
        master_addr=environment.text("MASTER_ADDR") or _first_host(environment),
        master_port=environment.number("MASTER_PORT", least=1)
        or Fact(_FIRST_PORT + job.value % _PORTS, job.source),
        rank=rank,
        local_rank=local,
        address_name="SLURM_JOB_NODELIST",
    )


def first_host(hosts: str) -> str:
    """Return the first name of Slurm's list of hosts: `gpu[03-05,9],cpu1` begins with gpu03."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", hosts.strip())
    name = first.group() if first else ""
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", name)


def _first(environment: Environment, *names: str) -> Fact[int] | None:
    counts = (environment.number(name, least=1) for name in names)
    return next((fact for fact in counts if fact), None)


def _first_host(environment: Environment) -> Fact[str] | None:
    for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"):
        hosts = environment.text(name)
        if hosts and first_host(hosts.value):
            return Fact(first_host(hosts.value), hosts.source)
    return None


def _tasks_per_node(tasks: Fact[int], nodes: Fact[int]) -> Fact[int]:
    if tasks.value % nodes.value:
        raise ConfigError(
            f"{tasks.source}: {tasks.value} is not a multiple of {nodes.source}: {nodes.value}",
            fix="start the same number of tasks on each machine (--ntasks-per-node)",
        )
    return Fact(tasks.value // nodes.value, f"{tasks.source} / {nodes.source}")


def _check(rank: Fact[int], count: Fact[int]) -> None:
    if rank.value >= count.value:
        raise ConfigError(
            f"{rank.source}: {rank.value} is not below {count.source}: {count.value}",
            fix="start the tasks with srun, and leave its variables as they are",
        )


SLURM = Platform(
    "slurm",
    "Slurm",
    by_variables("SLURM_JOB_ID"),
    grace_s=30,  # its own default; a cluster may have another one (KillWait)
    job="SLURM_JOB_ID",
    attempt="SLURM_RESTART_COUNT",
    first_attempt=0,
    nodes=_nodes,
)
