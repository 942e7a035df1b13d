"""What a run says of its place before anything heavy is loaded; what it refuses there."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from medlora.config import Machine, Resolved, RunConfig, refuse_conflicts
from medlora.errors import MedloraError
from medlora.logs import logger, set_quiet
from medlora.plan.gpu_check import check_gpu
from medlora.plan.training_workers import note_idle_workers, workers_of
from medlora.runtime import (
    Environment,
    Fact,
    Topology,
    attempt,
    batch_service,
    find_paths,
    find_topology,
    grace,
    is_launched,
    platform,
)

_log = logger(__name__)


def announce(environment: Environment, options: Mapping[str, str | None]) -> Topology:
    """Print platform, machines, workers and paths with their sources, in a few lines.

    One of several workers, other than the first, says nothing but what is wrong.

    Raises:
        ConfigError: the environment contradicts itself.
        MissingPartError: a part of it is missing, or it states what is not built yet.
    """
    topology = find_topology(environment)
    if topology.rank and topology.rank.value:
        set_quiet()
    if topology.rank and is_launched(environment):  # whoever started it has said all this
        return topology
    place, left, number = platform(environment), grace(environment), attempt(environment)
    _log.info(
        "place: %s (%s)%s, grace period %d s (%s)",
        *place,
        f", attempt {number.value} ({number.source})" if number else "",
        *left,
    )
    _log.info(
        "machine %d of %d (%s), workers on each: %d (%s)%s",
        topology.node_rank.value + 1,
        topology.num_nodes.value,
        topology.num_nodes.source,
        *topology.workers_per_node,
        _meeting(topology),
    )
    paths = find_paths(environment, options)
    _log.info(
        "paths: %s", ", ".join(f"{name} {path} ({why})" for name, (path, why) in paths.items())
    )
    checkpoints = Path(paths["checkpoints"].value)
    service = batch_service(environment)
    if service and service.unkept and not checkpoints.is_dir():
        _log.warning("%s does not exist: %s", checkpoints, service.unkept)
    return topology


def refuse(resolved: Resolved, environment: Environment, topology: Topology) -> None:
    """Refuse a config that cannot go well here, as far as it is known before torch is loaded.

    Raises:
        ConfigError: keys contradict each other, or what asks for workers.
        MissingPartError: what a key needs is not installed, or there is no such GPU.
    """
    cfg = resolved.config
    machine = Machine(workers=workers_of(topology, cfg))
    refuse_conflicts(cfg, machine, origins=resolved.origins)
    check_gpu(environment, cfg)


def refused(
    resolved: Resolved, environment: Environment, topology: Topology
) -> tuple[MedloraError, ...]:
    """Return the error of `refuse`, if there is one."""
    try:
        refuse(resolved, environment, topology)
    except MedloraError as error:
        return (error,)
    return ()


def workers_to_start(topology: Topology, cfg: RunConfig) -> Topology | None:
    """Return what to start here, None where this process does the work itself."""
    if topology.rank or topology.world_size == 1:
        return None
    count = workers_of(topology, cfg)
    note_idle_workers(cfg, count)
    if not topology.by_gpus:
        return topology
    gpus = topology.workers_per_node
    if count < gpus.value:
        _log.info("%d GPUs are visible, but this run can use only %d", gpus.value, count)
    return replace(topology, workers_per_node=Fact(count, gpus.source)) if count > 1 else None


def _meeting(topology: Topology) -> str:
    if topology.num_nodes.value == 1:
        return ""
    address, port = topology.master_addr, topology.master_port
    return f", meeting at {address.value}:{port.value} ({address.source})"
