"""This machine's own address, read from the kernel; nothing is sent and no name is looked up."""

import fcntl
import socket
import struct
from pathlib import Path

LOOPBACK = "127.0.0.1"
_SIOCGIFADDR = 0x8915  # the address of an interface.  Source: netdevice(7)
_DEFAULT_ROUTE = "00000000"


def own_address(routes: Path = Path("/proc/net/route")) -> str:
    """Return the IPv4 address of the interface that the default route goes out by.

    Without such a route, that of the first interface that has one; without any, the loopback's.
    """
    try:
        names = [name for _, name in socket.if_nameindex()]
    except OSError:  # a sandbox that hides them
        names = []
    for name in dict.fromkeys([*_default_interfaces(routes), *names]):
        address = _address_of(name)
        if address and not address.startswith(("127.", "169.254.")):  # itself, and link-local
            return address
    return LOOPBACK


def _default_interfaces(routes: Path) -> list[str]:
    """Return the interfaces of default routes.  Source: proc(5), /proc/net/route."""
    try:
        rows = [line.split() for line in routes.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []
    return [row[0] for row in rows if len(row) > 1 and row[1] == _DEFAULT_ROUTE]


def _address_of(interface: str) -> str | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            request = struct.pack("256s", interface.encode()[:15])
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    except OSError:  # it has no IPv4 address, or this process makes no sockets
        return None
    return socket.inet_ntoa(answer[20:24])
