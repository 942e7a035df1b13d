"""Which of how many machines this is, how many workers run on each, and where they meet.

The rule (R4), the first that applies: RANK and LOCAL_RANK both set: this process is a worker
already.  RANK alone: a node's rank (Kubeflow v1).  PET_* (Kubeflow v2), what each platform says in
the order of their registry, a single machine.  All that apply must agree.
"""

from dataclasses import dataclass
from itertools import combinations

from medlora.errors import ConfigError, MissingPartError
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.external_worker import from_worker
from medlora.runtime.gpu_count import visible_gpus
from medlora.runtime.launchers import from_pet, from_rank
from medlora.runtime.own_address import LOOPBACK
from medlora.runtime.platforms.registry import PLATFORMS
from medlora.runtime.topology_source import Claim

NPROC = "MEDLORA_NPROC"
RDZV_TIMEOUT = "MEDLORA_RDZV_TIMEOUT"  # seconds
_PATIENCE_S = 900  # torch's own
DEFAULT_PORT = 29500  # torch's own
_LAST_PORT = 65535
_STATED = (f"variable {NPROC}", "variable PET_NPROC_PER_NODE")
_SOURCES = (
    from_worker,
    from_rank,
    from_pet,
    *(platform.nodes for platform in PLATFORMS if platform.nodes),
)


@dataclass(frozen=True, slots=True)
class Topology:
    """Machines and workers of a job, each value with its source.

    Where somebody else started the workers, `rank` and `local_rank` are this one's; else this
    process is to start `workers_per_node` of them.
    """

    node_rank: Fact[int]
    num_nodes: Fact[int]
    workers_per_node: Fact[int]
    master_addr: Fact[str]
    master_port: Fact[int]
    is_master: bool  # the others meet at this machine
    rank: Fact[int] | None = None
    local_rank: Fact[int] | None = None
    network_interface: Fact[str] | None = None

    @property
    def world_size(self) -> int:
        """Workers of the whole job."""
        return self.num_nodes.value * self.workers_per_node.value

    @property
    def by_gpus(self) -> bool:
        """Tell whether nobody stated the number of workers: it is that of the GPUs."""
        stated = self.workers_per_node.source in _STATED
        return self.num_nodes.value == 1 and self.rank is None and not stated


def rendezvous_timeout(environment: Environment) -> int:
    """Return how many seconds to wait for late machines.

    Raises:
        ConfigError: the variable is no number.
    """
    stated = environment.number(RDZV_TIMEOUT, least=1)
    return stated.value if stated else _PATIENCE_S


def is_launched(environment: Environment) -> bool:
    """Tell whether torch's elastic launcher, ours or torchrun, started this process."""
    return environment.variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def find_topology(environment: Environment) -> Topology:
    """Return the topology that the environment states.

    Raises:
        ConfigError: a value is no number, or two contradict each other.
        MissingPartError: a part of a whole is not set.
    """
    # A launcher's own worker: it may use a part of what a scheduler gave, or another address.
    started = {"GROUP_RANK", "LOCAL_RANK"} <= environment.variables.keys()
    sources = (from_worker,) if started else _SOURCES
    claims = [claim for source in sources if (claim := source(environment))]
    for first, second in combinations(claims, 2):
        _agree(first.node_rank, second.node_rank, "this machine's rank")
        _agree(first.num_nodes, second.num_nodes, "the number of machines")
    if claims:
        return _resolved(claims[0], environment)
    index = environment.number("JOB_COMPLETION_INDEX")
    if index and index.value:
        raise MissingPartError(
            f"{index.source} says that this is one of several machines, but nothing says "
            "how many there are",
            fix="set WORLD_SIZE to the Job's completions and MASTER_ADDR to the name of its "
            "first pod; for separate runs, use one Job each",
        )
    return Topology(
        node_rank=index or Fact(0, "default"),
        num_nodes=Fact(1, "default"),
        workers_per_node=_workers(None, environment),
        master_addr=Fact(LOOPBACK, "default"),
        master_port=environment.number("MASTER_PORT", least=1) or Fact(DEFAULT_PORT, "default"),
        is_master=True,
    )


def _resolved(claim: Claim, environment: Environment) -> Topology:
    rank, nodes = claim.node_rank, claim.num_nodes
    if rank.value >= nodes.value:
        raise ConfigError(
            f"{rank.source}: rank {rank.value} is not one of {nodes.value} machines "
            f"({nodes.source}); ranks count from 0",
            fix="correct one of the two",
        )
    address = claim.master_addr
    if address is None and nodes.value > 1:
        raise MissingPartError(
            f"{nodes.source}: there are {nodes.value} machines, but nothing says where they meet",
            fix=f"set {claim.address_name} to the first machine's name or address",
        )
    port = claim.master_port or environment.number("MASTER_PORT", least=1)
    if port and port.value > _LAST_PORT:
        raise ConfigError(
            f"{port.source}: {port.value} is not a port", fix=f"set a number from 1 to {_LAST_PORT}"
        )
    return Topology(
        node_rank=rank,
        num_nodes=nodes,
        workers_per_node=_workers(claim, environment),
        master_addr=address or Fact(LOOPBACK, "default"),
        master_port=port or Fact(DEFAULT_PORT, "default"),
        is_master=rank.value == claim.main,
        rank=claim.rank,
        local_rank=claim.local_rank,
        network_interface=claim.network_interface,
    )


def _workers(claim: Claim | None, environment: Environment) -> Fact[int]:
    stated = environment.number(NPROC, least=1)
    claimed = claim.workers_per_node if claim else None
    if claim and claim.rank and claimed:  # they are running: nobody can wish for another number
        if stated:
            _agree(stated, claimed, "the number of workers per machine")
        return claimed
    gpus = visible_gpus(environment)
    return stated or claimed or (gpus if gpus.value else Fact(1, "default: no GPU is visible"))


def _agree(first: Fact[int], second: Fact[int], what: str) -> None:
    if first.value != second.value:
        raise ConfigError(
            f"{first.source} and {second.source} disagree about {what}: "
            f"{first.value} and {second.value}",
            fix="unset the one that does not belong to this job",
        )
