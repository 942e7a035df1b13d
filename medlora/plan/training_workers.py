"""How many workers share a run."""

from medlora.config import RunConfig
from medlora.logs import logger
from medlora.runtime import Topology

_log = logger(__name__)


def workers_of(topology: Topology, cfg: RunConfig) -> int:
    """Return how many workers a run has, in all machines; those of GPUs only as many as help."""
    if topology.world_size > 1 and topology.by_gpus and not topology.rank:
        return useful_workers(cfg, topology.workers_per_node.value)
    return topology.world_size


def note_idle_workers(cfg: RunConfig, workers: int) -> None:
    """Say where a step has no work for some of so many workers."""
    parts = cfg.training.gradient_accumulation_steps
    if parts < workers:
        _log.warning(
            "a step has micro-batches for only %d of %d workers, the others are idle; raise "
            "training.gradient_accumulation_steps and lower per_device_train_batch_size",
            parts,
            workers,
        )


def useful_workers(cfg: RunConfig, gpus: int) -> int:
    """Return how many of a machine's GPUs a run can use, where nobody asked for a number."""
    if cfg.is_private or cfg.training.engine == "huggingface":
        return 1
    return max(1, min(gpus, cfg.training.gradient_accumulation_steps))
