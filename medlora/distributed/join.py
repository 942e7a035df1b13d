"""Become one of a run's workers."""

import socket
from datetime import timedelta

import torch
from torch import distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]

from medlora.distributed.meeting import call_roll, open_store
from medlora.distributed.team import Team
from medlora.errors import MissingPartError
from medlora.runtime import Topology

# Longer than any work that one worker does while the others wait; who is lost is told by the
# connection that ends, or by the launcher, not by the clock.

_PATIENCE = timedelta(days=7)


def join(topology: Topology, *, timeout_s: float, launched: bool) -> Team:
    """Meet the other workers; return all of them.  Where there is no other, nothing is started.

    Args:
        topology: which of how many this one is.
        timeout_s: how long to wait for the others.
        launched: whether torch's launcher started this one, and hosts the store.

    Raises:
        MissingPartError: one did not come, or this one has no GPU where others do.
    """
    if topology.world_size == 1 or topology.rank is None or topology.local_rank is None:
        return Team()
    rank, local = topology.rank.value, topology.local_rank.value
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        _take_gpu(local)
    store = open_store(
        topology.master_addr.value,
        topology.master_port.value,
        hosts=rank == 0 and not launched,
        alone=topology.num_nodes.value == 1,
        timeout_s=timeout_s,
    )
    ours = PrefixStore("workers", store)
    call_roll(
        ours,
        rank,
        topology.world_size,
        name=socket.gethostname(),
        what="worker",
        timeout_s=timeout_s,
    )
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=ours,
        rank=rank,
        world_size=topology.world_size,
        timeout=_PATIENCE,
        device_id=torch.device("cuda", torch.cuda.current_device()) if on_gpu else None,
    )
    return Team(local_rank=local)


def _take_gpu(local: int) -> None:
    gpus = torch.cuda.device_count()
    if local >= gpus:
        raise MissingPartError(
            f"worker {local + 1} of this machine has no GPU: {gpus} can be used",
            fix=f"set {gpus} workers per machine (MEDLORA_NPROC={gpus}), or provide more GPUs",
        )
    torch.cuda.set_device(local)
