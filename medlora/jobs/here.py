"""What a run says of its place before anything heavy is loaded; what it refuses there."""

from collections.abc import Mapping
from pathlib import Path

from medlora.errors import MissingPartError
from medlora.logs import logger
from medlora.runtime import (
    Environment,
    Topology,
    attempt,
    find_paths,
    find_topology,
    grace,
    platform,
)

_log = logger(__name__)


def announce(environment: Environment, options: Mapping[str, str | None]) -> None:
    """Print platform, machines, workers and paths with their sources, in a few lines.

    Raises:
        ConfigError: the environment contradicts itself.
        MissingPartError: a part of it is missing, or it states what is not built yet.
    """
    topology = find_topology(environment)
    place, left, number = platform(environment), grace(environment), attempt(environment)
    _log.info(
        "place: %s (%s)%s, %d s to end in (%s)",
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
    _refuse_several(topology)
    checkpoints = Path(paths["checkpoints"].value)
    if place.value == "sagemaker" and not checkpoints.is_dir():
        _log.warning(
            "%s is not there: without a CheckpointConfig, an interrupted job starts over",
            checkpoints,
        )


def _meeting(topology: Topology) -> str:
    if topology.world_size == 1:
        return ""
    address, port = topology.master_addr, topology.master_port
    return f", meeting at {address.value}:{port.value} ({address.source})"


def _refuse_several(topology: Topology) -> None:
    """Go on with one GPU where several are there by chance; refuse several that are asked for."""
    if topology.world_size == 1:
        return
    if topology.by_gpus:
        _log.info("%d GPUs are visible; training uses the first", topology.workers_per_node.value)
        return
    raise MissingPartError(
        f"{topology.num_nodes.value} machines with {topology.workers_per_node.value} workers each "
        "are asked for: training on more than one worker is not built yet",
        fix="ask for one machine and one worker there (one task, or MEDLORA_NPROC=1)",
    )
