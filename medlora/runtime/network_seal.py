"""No sockets to other machines for this process and its children, compiled code included.

The kernel refuses to make them: a filter of system calls, which nobody can take off again.  It
knows kinds of sockets and no addresses, so loopback goes too, and a run of several workers, who
meet over one, does without it.  What is let through is listed, not what is refused: a family of
addresses that a later kernel brings is refused like the others, and so is io_uring, which makes
sockets without the call that the filter looks at.
Source: seccomp(2); struct seccomp_data and sock_filter of the Linux headers; io_uring_setup(2).
"""

import ctypes
import errno
import platform
import struct
from typing import NamedTuple

_LOAD, _RETURN = 0x20, 0x06  # BPF_LD|W|ABS, BPF_RET|K
_EQUAL, _LEAST = 0x15, 0x35  # BPF_JMP|JEQ|K, BPF_JMP|JGE|K
_NUMBER, _ARCHITECTURE, _FAMILY = 0, 4, 16  # where they stand in seccomp_data; low half first
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EACCES
LOCAL = 1  # AF_UNIX, the one family that stays within this machine
_X32 = 0x40000000  # from here on: the same calls by another door
_IO_URING = (425, 426, 427)  # setup, enter, register: the same numbers on every machine
_NO_NEW_PRIVILEGES = 38  # prctl's
_SET_FILTER = 1
_ALL_THREADS, _NO_SLOWDOWN = 1, 4  # the second: no mitigation that costs speed on older kernels


class _Machine(NamedTuple):
    """AUDIT_ARCH, and the numbers of the calls that are looked at or made."""

    architecture: int
    socket: int
    socketpair: int
    seccomp: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 41, 53, 317),
    "aarch64": _Machine(0xC00000B7, 198, 199, 277),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seal() -> bool:
    """Have the kernel refuse sockets of any kind but local ones, for good; tell whether it does.

    What cannot be had (another processor, a sandbox that forbids it) is no error: the guard of
    Python's sockets holds without it.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = _filter(machine)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    flags = _ALL_THREADS | _NO_SLOWDOWN
    return bool(libc.syscall(machine.seccomp, _SET_FILTER, flags, ctypes.byref(program)) == 0)


def _filter(machine: _Machine) -> bytes:
    """Return the program; a jump says how many rows to leave out if it holds, and if not."""
    rings = len(_IO_URING)
    rows = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, rings + 6, machine.architecture),  # another one's numbers mean other calls
        (_LOAD, 0, 0, _NUMBER),
        (_LEAST, rings + 4, 0, _X32),
        *((_EQUAL, rings + 3 - index, 0, number) for index, number in enumerate(_IO_URING)),
        (_EQUAL, 1, 0, machine.socket),
        (_EQUAL, 0, 3, machine.socketpair),
        (_LOAD, 0, 0, _FAMILY),
        (_EQUAL, 1, 0, LOCAL),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)
