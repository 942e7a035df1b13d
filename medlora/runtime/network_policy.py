"""Whom this process may talk to: itself, and where its run meets, unless somebody asked for more.

An audit hook of Python's sees each connection and each look-up of a name that goes through the
module `socket`, as all libraries written in Python do, and cannot be taken away again.  It does
not see sockets of compiled code.  Those of torch (gloo, NCCL, its store) are meant to work;
`seal_network` closes the others; the command line calls it for every command that did not say
that it may need the network, and those call it once they know that they do not.
"""

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from medlora.errors import MedloraError, NetworkRefusedError
from medlora.logs import logger
from medlora.runtime.environment import Environment
from medlora.runtime.network_seal import LOCAL, seal
from medlora.runtime.topology import find_topology

NETWORK = "MEDLORA_NETWORK"  # names or addresses, parted by commas; `any` for all
ANY = "any"
_CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_ALLOW, _SEAL = "medlora.network.allow", "medlora.network.seal"
_LOCAL_NAMES = ("", "localhost", "localhost.localdomain")
# What Python may ask for; -1: of a descriptor that is there already.
_KNOWN = (LOCAL, socket.AF_INET, socket.AF_INET6, -1)
_log = logger(__name__)


def close_network(environment: Environment) -> None:
    """Refuse, from now on and for good, to talk to anything but loopback and `allowed_hosts`."""
    hosts = allowed_hosts(environment)
    if hosts is not None:
        sys.addaudithook(_Guard(hosts).look)


def allow_hosts(hosts: Sequence[str]) -> None:
    """Let this process talk to more: what somebody asked for turns out to need them.

    Args:
        hosts: names and addresses; a name that begins with a dot stands for all that end so.
    """
    sys.audit(_ALLOW, tuple(hosts))  # the guard hears it, where there is one


def seal_network(environment: Environment) -> None:
    """Have the kernel refuse compiled code too, where nobody asked for a host.

    Not to be called where a run has other workers, who meet, or a bucket.  Nothing happens where
    `close_network` was not called: only the command line closes the network of its process.
    """
    if not environment.text(NETWORK):
        sys.audit(_SEAL)


def allowed_hosts(environment: Environment) -> tuple[str, ...] | None:
    """Return the hosts beside loopback that may be talked to, None for any.

    They are this machine's own address, those of MEDLORA_NETWORK, and the one where a run of
    several machines meets.
    """
    asked = environment.variables.get(NETWORK, "").lower()
    hosts = [host.strip() for host in asked.split(",") if host.strip()]
    if ANY in hosts:
        return None
    with suppress(MedloraError):  # whoever needs the topology tells what is wrong with it
        hosts.append(find_topology(environment).master_addr.value.lower())
    return (environment.address, *hosts)


def network_state(environment: Environment) -> str:
    """Say for `medlora doctor` what this process may reach."""
    hosts = allowed_hosts(environment)
    if hosts is None:
        return "open"
    try:
        socket.socket().close()
    except OSError:
        return "closed: the kernel refuses sockets"
    others = [host for host in hosts if not _is_loopback(host)]
    return f"closed to Python except for loopback{''.join(f', {host}' for host in others)}"


class _Guard:
    """Looks at each event of the interpreter; raises at one that leads to another machine."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._sealed = False
        self._hosts = {*hosts, *_LOCAL_NAMES}
        self._ends: tuple[str, ...] = ()
        self._addresses: set[IPv4Address | IPv6Address] = set()
        self._reported: set[tuple[str, str]] = set()
        self._checks: dict[str, Callable[..., None]] = {
            _ALLOW: self._allow,
            _SEAL: self._seal,
            "socket.__new__": self._check_new,
            **dict.fromkeys(_CONNECTIONS, self._check_connection),
            "socket.getaddrinfo": self._check_lookup,
            "socket.gethostbyname": self._check_lookup,
            "socket.gethostbyaddr": lambda host: self._check_name(_text(host)),
            "socket.getnameinfo": lambda target: self._check_name(_text(target[0])),
        }

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Do nothing, or raise.

        Raises:
            NetworkRefusedError: to a library, a connection that failed.
        """
        check = self._checks.get(event)
        if check:
            check(*arguments)

    def _seal(self) -> None:
        self._sealed = seal()

    def _allow(self, hosts: Sequence[str]) -> None:
        names = [host.lower() for host in hosts]
        if not self._ends:
            self._remember_answers()
        self._ends += tuple(name for name in names if name.startswith("."))
        self._hosts.update(name for name in names if not name.startswith("."))
        self._addresses.update(address for address in map(_address, names) if address)

    def _remember_answers(self) -> None:
        """Keep the addresses that look-ups of allowed names end in: services have many of them."""
        ask = socket.getaddrinfo

        def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401  (socket's own)
            answers = ask(host, *rest, **named)
            if self._is_allowed_name(_text(host)):
                self._learn(answers)
            return answers

        socket.getaddrinfo = getaddrinfo

    def _learn(self, answers: Sequence[Any]) -> None:
        self._addresses.update(address for row in answers if (address := _address(row[4][0])))

    def _check_new(self, _: socket.socket, family: int, *_others: object) -> None:
        """Name who wants what the kernel is about to refuse; we ourselves may ask for it."""
        if _asks_for_ipv6_alone():
            return  # the kernel says no, which is all that it wants to know
        if family not in _KNOWN:
            self._refuse(f"a socket of family {int(family)}")
        if self._sealed and family not in (LOCAL, -1) and _caller() != "medlora":
            self._refuse("another machine")

    def _check_connection(self, connection: socket.socket, target: Any) -> None:  # noqa: ANN401  (as families have it)
        if connection.family != socket.AF_UNIX and target is not None:  # None: connected already
            self._check_target(connection.family, target)

    def _check_lookup(self, host: object, *_: object) -> None:
        if _address(host) is None:  # a look-up of a number asks nobody
            self._check_name(_text(host))

    def _check_target(self, family: int, target: Any) -> None:  # noqa: ANN401  (as families have it)
        if family not in (socket.AF_INET, socket.AF_INET6):
            self._refuse(f"a socket of family {int(family)}")
        elif not self._is_allowed(_text(target[0])):
            self._refuse(f"{_text(target[0])}, port {target[1]}")

    def _check_name(self, name: str) -> None:
        if not self._is_allowed(name) and not _is_own(name):
            self._refuse(name)

    def _is_allowed_name(self, host: str) -> bool:
        return host in self._hosts or (host.endswith(self._ends) if self._ends else False)

    def _is_allowed(self, host: str) -> bool:
        if self._is_allowed_name(host):
            return True
        address = _address(host)
        if address is None:
            return False
        if _is_loopback(host) or address in self._addresses or str(address) in self._hosts:
            return True
        for name in self._hosts.difference(_LOCAL_NAMES):  # they may have moved since
            if _address(name) is None:
                with suppress(OSError):
                    self._learn(socket.getaddrinfo(name, None))
        return address in self._addresses

    def _refuse(self, target: str) -> None:
        who = _caller()
        if (who, target) not in self._reported:
            self._reported.add((who, target))
            _log.warning("network: %s tried to reach %s and was refused", who, target)
        raise NetworkRefusedError(
            f"{who} tried to connect to {target}; network access is disabled, and {NETWORK} does "
            "not allow this host",
            fix=f"if the connection is needed, add the host to {NETWORK}; otherwise do nothing",
        )


def _text(host: object) -> str:
    text = host.decode("ascii", errors="replace") if isinstance(host, bytes) else str(host or "")
    return text.lower().rstrip(".")


def _address(host: object) -> IPv4Address | IPv6Address | None:
    """Return a numeric address, an IPv4 one without its IPv6 dress; None for a name."""
    try:
        address = ip_address(_text(host).partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback(host: str) -> bool:
    """Tell whether an address is this machine's to itself; none at all means the same."""
    address = _address(host)
    return bool(address and (address.is_loopback or address.is_unspecified))


def _is_own(name: str) -> bool:
    """Tell whether a name is this machine's; only what begins like it is worth a look-up."""
    short = socket.gethostname().lower()
    if name == short:
        return True
    return name.startswith(f"{short}.") and name == socket.getfqdn().lower()


def _asks_for_ipv6_alone() -> bool:
    """Tell whether urllib3 is being imported, which tries a socket that it never connects."""
    frame = sys._getframe(2)  # noqa: SLF001  (the way to look at callers)
    while frame.f_back is not None:
        if frame.f_code.co_name == "_has_ipv6":
            return str(frame.f_globals.get("__name__", "")).startswith("urllib3.")
        frame = frame.f_back
    return False


def _caller() -> str:
    """Return the top-level name of who began it: the first module outside of the library."""
    frame = sys._getframe(1)  # noqa: SLF001  (the way to look at callers)
    while frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        name = module.partition(".")[0]
        if module != __name__ and name not in sys.stdlib_module_names:
            return name
        frame = frame.f_back
    return "Python"
