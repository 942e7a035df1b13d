"""The NVIDIA driver that is here, asked before torch is: that only says that it found none.

Containers get the driver's library from the machine below, so nothing but the program itself can
tell that it is older than what the image was built for.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "libcuda.so.1"
NO_GPU = 100  # CUDA_ERROR_NO_DEVICE
# Source: CUDA driver API, CUresult.
ERRORS = {
    NO_GPU: "no GPU is visible",
    101: "an entry of CUDA_VISIBLE_DEVICES is not a GPU",
    802: "the GPUs' fabric manager is not up yet",
    803: "its library and its kernel module are of different versions",
    804: "its compatibility library does not know this GPU",
}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver: the newest CUDA that it computes with, what starting it ended in, the first GPU."""

    cuda: tuple[int, int]
    status: int  # 0 is well
    capability: tuple[int, int] | None = None

    @property
    def problem(self) -> str:
        """What its status means."""
        return ERRORS.get(self.status, f"error {self.status}")


def find_driver(library: str = LIBRARY) -> Driver | None:
    """Return the driver, None where there is none.

    Args:
        library: name or path of its library.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    number = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(number)):
        number.value = 0
    version = (number.value // 1000, number.value % 1000 // 10)
    status = int(cuda.cuInit(0))
    return Driver(version, status, _capability(cuda) if status == 0 else None)


def _capability(cuda: ctypes.CDLL) -> tuple[int, int] | None:
    """Return the compute capability of the first GPU, None where there is none."""
    count, device = ctypes.c_int(), ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    if cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    capability = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return None
        capability.append(value.value)
    return capability[0], capability[1]


def driver_version(root: Path = Path("/")) -> str | None:
    """Return the driver's own version, which its module's line ends in; None where nobody tells."""
    try:
        file = root / "proc/driver/nvidia/version"
        words = file.read_text(encoding="ascii", errors="replace").splitlines()[0].split()
    except (OSError, IndexError):
        return None
    numbers = (word for word in words if word[:1].isdigit() and "." in word)
    return next(numbers, None)
