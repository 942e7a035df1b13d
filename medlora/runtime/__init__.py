"""Where am I: the only reader of the environment (variables, mounts, services)."""

from medlora.runtime.current_platform import (
    attempt,
    batch_service,
    grace,
    job_facts,
    platform,
    platform_named,
)
from medlora.runtime.environment import (
    DEVICE,
    Environment,
    Fact,
    log_settings,
    prepare_process,
    snapshot,
    variable,
)
from medlora.runtime.failure_file import LONGEST_CAUSE, report_failure
from medlora.runtime.gpu_count import visible_gpus
from medlora.runtime.network_policy import (
    allow_hosts,
    close_network,
    network_state,
    seal_network,
)
from medlora.runtime.own_address import LOOPBACK
from medlora.runtime.place_with_origin import PlaceValue
from medlora.runtime.places import PLACES, Place, find_paths, given_places
from medlora.runtime.scratch_dir import FETCHED, find_scratch_dir
from medlora.runtime.stop import Stop
from medlora.runtime.topology import (
    RDZV_TIMEOUT,
    Topology,
    find_topology,
    is_launched,
    rendezvous_timeout,
)

__all__ = [
    "DEVICE",
    "FETCHED",
    "LONGEST_CAUSE",
    "LOOPBACK",
    "PLACES",
    "RDZV_TIMEOUT",
    "Environment",
    "Fact",
    "Place",
    "PlaceValue",
    "Stop",
    "Topology",
    "allow_hosts",
    "attempt",
    "batch_service",
    "close_network",
    "find_paths",
    "find_scratch_dir",
    "find_topology",
    "given_places",
    "grace",
    "is_launched",
    "job_facts",
    "log_settings",
    "network_state",
    "platform",
    "platform_named",
    "prepare_process",
    "rendezvous_timeout",
    "report_failure",
    "seal_network",
    "snapshot",
    "variable",
    "visible_gpus",
]
