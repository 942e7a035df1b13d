"""Start this machine's workers, watch them, and end as they end.

By torch's elastic launcher, in this process; its own end, code 1 for whatever happened, is
translated to the code of the worker that failed first.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import psutil
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import rendezvous_handler_registry
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from medlora.distributed.heartbeat import Heartbeat
from medlora.distributed.meeting import Meeting, interface_to
from medlora.logs import logger
from medlora.runtime import Topology
from medlora.runtime.stop import EXIT_CODE, LAUNCHER, is_ignored
from medlora.runtime.streams import tell_at_once

_log = logger(__name__)
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_CAUSE_S = 5.0  # that another machine's code is waited for, which may be the cause
_LEAST_S = 8  # that workers have to commit before they are killed
_LOOPBACK = "lo"


def launch(
    topology: Topology,
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str],
    timeout_s: float,
    grace_s: float,
) -> int:
    """Run `medlora ARGUMENTS` in each of this machine's workers; return the exit code.

    The first worker's output is this process's; of the others, only that of the one that failed
    first is shown.

    Args:
        topology: this machine's part.
        arguments: of the command line.
        variables: of the environment, which the workers get, with what torch adds.
        timeout_s: how long to wait for the other machines.
        grace_s: how long workers have to end after SIGTERM.

    Raises:
        MissingPartError: another machine did not come.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    patience_s = max(_LEAST_S, int(grace_s) - 2)
    workers = _Workers(topology, patience_s=patience_s)
    rendezvous_handler_registry.register(
        "medlora", lambda _: Meeting(topology, timeout_s=timeout_s, met=workers.watch)
    )
    os.environ.update({LAUNCHER: str(os.getpid()), **_network(topology, variables)})
    with TemporaryDirectory(prefix="medlora-") as folder:
        config = LaunchConfig(
            min_nodes=topology.num_nodes.value,
            max_nodes=topology.num_nodes.value,
            nproc_per_node=topology.workers_per_node.value,
            run_id="medlora",
            rdzv_backend="medlora",
            max_restarts=0,
            local_addr=topology.master_addr.value if topology.is_master else None,
            signals_to_handle="",  # they are ours
            logs_specs=DefaultLogsSpecs(
                log_dir=folder,
                redirects=dict.fromkeys(range(1, topology.workers_per_node.value), Std.ALL),
            ),
            shutdown_timeout=patience_s,
        )
        for number in _FORWARDED:
            if not is_ignored(number):
                signal.signal(number, workers.forward)
        try:
            elastic_launch(config, sys.executable)("-P", "-m", "medlora", *arguments)
        except ChildFailedError as error:
            return workers.end(error.failures, Path(folder))
        return workers.end({}, Path(folder))


class _Workers:
    """The worker processes of this machine, and what is known of the other machines."""

    def __init__(self, topology: Topology, *, patience_s: int) -> None:
        self._topology, self._patience_s = topology, patience_s
        self._heartbeat: Heartbeat | None = None
        self._asked = False

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """Hand a signal to every worker; end at once where there is none yet."""
        children = psutil.Process().children()
        self._asked = True
        for child in children:
            _send(child, number)
        if not children and number != signal.SIGUSR1:
            tell_at_once(f"stopped by {signal.Signals(number).name}")
            os._exit(EXIT_CODE)

    def watch(self, address: str, port: int, names: Sequence[str]) -> None:
        """Begin to watch the other machines, if there are any."""
        if len(names) > 1:
            me = self._topology.node_rank.value
            self._heartbeat = Heartbeat(address, port, me=me, names=names, lost=self._lose)

    def _lose(self, line: str) -> None:
        """Have the workers end: one that waits for a lost machine does not hear SIGTERM."""
        _log.error("%s; this machine stops too", line)
        for child in psutil.Process().children():
            _send(child, signal.SIGTERM)
        threading.Timer(_LEAST_S, self._kill).start()

    @staticmethod
    def _kill() -> None:
        for child in psutil.Process().children():
            _send(child, signal.SIGKILL)

    def end(self, failures: Mapping[int, ProcessFailure], logs: Path) -> int:
        """Return the exit code, the cause's if it is another machine's, and tell the others."""
        code = 0
        if failures:
            code, cause = first_cause(failures, patience_s=self._patience_s)
            _show(cause, logs, here=self._topology)
        if self._heartbeat:
            waits = code == EXIT_CODE and not self._asked
            hosts = self._topology.is_master
            self._heartbeat.end(code, hosts=hosts, wait_s=_CAUSE_S if waits else 0.0)
            if waits and self._heartbeat.ended:
                code = self._heartbeat.ended
        return code


def first_cause(
    failures: Mapping[int, ProcessFailure], *, patience_s: float
) -> tuple[int, ProcessFailure]:
    """Return the exit code and the worker of the first failure that is not another's result.

    Args:
        failures: by local rank, those of workers that were ended for another's among them.
        patience_s: after the first failure, when what had not ended by then was killed.
    """
    first = min(int(failure.timestamp) for failure in failures.values())

    def is_result(failure: ProcessFailure) -> bool:
        late = int(failure.timestamp) - first >= patience_s - 1  # whole seconds are stated
        return _code(failure) == EXIT_CODE or (failure.exitcode == -signal.SIGKILL and late)

    ordered = sorted(failures.values(), key=lambda failure: (is_result(failure), failure.timestamp))
    return _code(ordered[0]), ordered[0]


def _code(failure: ProcessFailure) -> int:
    code: int = failure.exitcode
    return code if code >= 0 else 128 - code  # a signal's number, as a shell states it


def _show(cause: ProcessFailure, logs: Path, *, here: Topology) -> None:
    """Print what a worker said whose output nobody has seen."""
    rank = here.node_rank.value * here.workers_per_node.value + cause.local_rank
    if cause.exitcode < 0:
        name = signal.Signals(-cause.exitcode).name
        _log.error("worker %d of %d was killed by %s", rank + 1, here.world_size, name)
    if cause.local_rank == 0:
        return
    for path in logs.glob(f"**/{cause.local_rank}/stderr.log"):
        sys.stderr.write(path.read_text(encoding="utf-8", errors="replace"))


def _send(child: psutil.Process, number: int) -> None:
    try:
        child.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _network(topology: Topology, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name the interface to the other workers, where nobody set them.

    By a machine's name gloo may find its loopback, which no other machine reaches.
    """
    if topology.num_nodes.value == 1:
        name = _LOOPBACK
    elif topology.network_interface:
        name = topology.network_interface.value
    else:
        name = interface_to(topology.master_addr.value) or ""
    wanted = {variable: name for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if name}
    return {variable: value for variable, value in wanted.items() if variable not in variables}
