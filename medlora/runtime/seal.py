"""No sockets to other machines for this process and its children, compiled code included.

The kernel refuses to make them: a filter of system calls, which nobody can take off again.  It
knows kinds of sockets and no addresses, so loopback goes too, and a run of several workers, who
meet over one, does without it.
Source: seccomp(2); struct seccomp_data and sock_filter of the Linux headers.
"""

import ctypes
import errno
import platform
import struct

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_NUMBER, _ARCHITECTURE, _FAMILY = 0, 4, 16  # where they stand in seccomp_data; low half first
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EACCES
REFUSED = (2, 10, 17, 40)  # AF_INET, AF_INET6, AF_PACKET, AF_VSOCK
_X32 = 0x40000000  # the same calls by another door
# machine: AUDIT_ARCH, the numbers of socket() and of seccomp()
_MACHINES = {"x86_64": (0xC000003E, 41, 317), "aarch64": (0xC00000B7, 198, 277)}
_NO_NEW_PRIVILEGES = 38  # prctl's
_SET_FILTER = 1
_ALL_THREADS, _NO_SLOWDOWN = 1, 4  # the second: no mitigation that costs speed on older kernels


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seal() -> bool:
    """Have the kernel refuse sockets of any kind but local ones, for good; tell whether it does.

    What cannot be had (another processor, a sandbox that forbids it) is no error: the guard of
    Python's sockets holds without it.
    """
    known = _MACHINES.get(platform.machine())
    if known is None:
        return False
    architecture, number, seccomp = known
    code = _filter(architecture, number)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    flags = _ALL_THREADS | _NO_SLOWDOWN
    return bool(libc.syscall(seccomp, _SET_FILTER, flags, ctypes.byref(program)) == 0)


def _filter(architecture: int, number: int) -> bytes:
    """Return the program: jumps say how many instructions to leave out if equal, and if not."""
    families = len(REFUSED)
    rows = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, families + 5, architecture),  # another one's numbers mean other calls
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 1, 0, number),
        (_EQUAL, 0, families + 1, number | _X32),
        (_LOAD, 0, 0, _FAMILY),
        *((_EQUAL, families - index, 0, family) for index, family in enumerate(REFUSED)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)
