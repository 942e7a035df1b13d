"""Where the machines, or the workers, of a run meet; who has not come is told by number."""

import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import psutil
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousStoreInfo,
)

from medlora.errors import MissingPartError
from medlora.logs import logger
from medlora.runtime import LOOPBACK, RDZV_TIMEOUT, Topology

_log = logger(__name__)
_ANY_PORT = 0
_LOOK_S = 5.0  # between two looks at who is there


def open_store(address: str, port: int, *, hosts: bool, alone: bool, timeout_s: float) -> TCPStore:
    """Return the store that all meet at; the one that hosts it needs no other.

    Args:
        address: where it is.
        port: likewise; `_ANY_PORT` takes a free one.
        hosts: whether it is this process that has it.
        alone: no other machine comes: it listens at this address and nowhere else.
        timeout_s: how long to wait for the host.

    Raises:
        MissingPartError: the host was not reached in time, or its port is taken.
    """
    try:
        listening = _listen(address, port) if hosts and alone else None
        return TCPStore(
            address,
            listening.getsockname()[1] if listening else port,
            is_master=hosts,
            wait_for_workers=False,
            timeout=timedelta(seconds=timeout_s),
            master_listen_fd=listening.detach() if listening else None,
        )
    except (OSError, RuntimeError) as error:  # torch's DistError: it wraps what the system said
        if hosts:
            raise MissingPartError(
                f"port {port} is in use on this machine, to which the others connect",
                fix="set MASTER_PORT to a free port, the same on all machines",
            ) from error
        raise MissingPartError(
            f"the first machine, at {address}:{port}, did not answer within {timeout_s:.0f} s",
            fix="check that it runs and that this port is open between the machines; "
            f"{RDZV_TIMEOUT} sets the timeout in seconds",
        ) from error


def _listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens there alone; by itself torch listens at every address."""
    resolved = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(resolved[4][:2], family=resolved[0])


def call_roll(
    store: Store, me: int, count: int, *, name: str, what: str, timeout_s: float
) -> list[str]:
    """Tell that this one is here, and wait for the others; return all names.

    Args:
        store: where they meet.
        me: the number of this one, from 0.
        count: how many there are.
        name: of this one.
        what: they are, for a message: `machine` or `worker`.
        timeout_s: how long to wait.

    Raises:
        MissingPartError: some did not come; their numbers are in the message.
    """
    store.set(_key(me), name)
    until = time.monotonic() + timeout_s
    while missing := [number for number in range(count) if not store.check([_key(number)])]:
        left = until - time.monotonic()
        if left <= 0:
            numbers = ", ".join(str(number + 1) for number in missing)
            raise MissingPartError(
                f"{what} {numbers} of {count} did not join within {timeout_s:.0f} s",
                fix=f"check why it did not start, or cannot reach the first {what}; "
                f"{RDZV_TIMEOUT} sets the timeout in seconds",
            )
        try:
            store.wait([_key(missing[0])], timedelta(seconds=min(left, _LOOK_S)))
        except RuntimeError:  # torch's DistError: it did not come in this while
            numbers = ", ".join(str(number + 1) for number in missing)
            _log.info("waiting for %s %s of %d", what, numbers, count)
    return [store.get(_key(number)).decode() for number in range(count)]


def _key(number: int) -> str:
    return f"here/{number}"


class Meeting(RendezvousHandler):
    """torch's launcher meets the other machines here; each has its rank already.

    Args:
        topology: which machine this is, and where the first one is.
        timeout_s: how long to wait for the others.
        met: called with the store's address and port and the names of all machines, once they
            are here.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        timeout_s: float,
        met: Callable[[str, int, Sequence[str]], None],
    ) -> None:
        self._topology, self._timeout_s, self._met = topology, timeout_s, met
        self._store: TCPStore | None = None

    @property
    def use_agent_store(self) -> bool:
        """Tell the workers to meet in the same store."""
        return True

    def get_backend(self) -> str:
        """Return this way of meeting's name."""
        return "medlora"

    def next_rendezvous(self) -> RendezvousInfo:
        """Wait for all machines.

        Raises:
            MissingPartError: one did not come.
        """
        here, nodes = self._topology, self._topology.num_nodes.value
        alone = nodes == 1
        port = _ANY_PORT if alone else here.master_port.value
        # Its own name may lead the first machine to itself late, or never.
        address = LOOPBACK if here.is_master else here.master_addr.value
        store = open_store(
            address, port, hosts=here.is_master, alone=alone, timeout_s=self._timeout_s
        )
        self._store, port = store, store.port
        rank = here.node_rank.value
        names = call_roll(
            store, rank, nodes, name=socket.gethostname(), what="machine", timeout_s=self._timeout_s
        )
        self._met(address, port, names)
        return RendezvousInfo(store, rank, nodes, RendezvousStoreInfo(address, port))

    def is_closed(self) -> bool:
        """Tell that nobody has closed it."""
        return False

    def set_closed(self) -> None:
        """Do nothing: nobody meets twice."""

    def num_nodes_waiting(self) -> int:
        """Return that nobody comes later."""
        return 0

    def get_run_id(self) -> str:
        """Return the run's name among the launcher's."""
        return "medlora"

    def shutdown(self) -> bool:
        """Do nothing: the store ends with this process."""
        return True


def interface_to(address: str) -> str | None:
    """Return the network interface that leads to an address, None where nobody knows.

    Nothing is sent: the kernel is asked for its route.
    """
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            own = probe.getsockname()[0]
    except OSError:
        return None
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address.partition("%")[0] == own for entry in addresses):
            return str(name)
    return None
