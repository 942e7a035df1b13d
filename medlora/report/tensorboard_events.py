"""TensorBoard event files: numbers only, each on the disk as soon as it is logged.

Written here because TensorBoard's own writer costs 75 MB and tensorboardX's needs a thread,
a semaphore in /dev/shm and a clean exit, and puts the host's name into the file's.

Source: TFRecord framing (tensorflow/core/lib/io/record_writer.h) around `Event` messages
(tensorboard/compat/proto/event.proto, summary.proto); checksum: CRC-32C, RFC 3720 B.4.
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path

from medlora.files import append_bytes, make_folder, write_bytes

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_MASK_DELTA = 0xA282EAD8
_VERSION = b"brain.Event:2"
_SESSION_START = b"\x08\x01"


class EventFile:
    """The scalars of one process, in a file of its own below a run's folder.

    TensorBoard joins the files of a folder; from a resumed run's first step on, the new file
    holds in place of the older one.
    """

    def __init__(self, folder: Path, *, started: float, first_step: int = 0) -> None:
        """Start a file.

        Args:
            folder: where the event files of the run are.
            started: seconds since 1970, part of the file's name.
            first_step: what an older file has of this step and later ones is void.
        """
        make_folder(folder)
        self._file = folder / f"events.out.tfevents.{int(started):010d}.{first_step}"
        version = _event(started, 0, _bytes_field(3, _VERSION))
        start = _event(started, first_step, _bytes_field(7, _SESSION_START))
        write_bytes(self._file, _framed(version) + _framed(start))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each named curve."""
        values = b"".join(
            _bytes_field(1, _bytes_field(1, name.encode()) + b"\x15" + struct.pack("<f", value))
            for name, value in metrics.items()
        )
        append_bytes(self._file, _framed(_event(time.time(), step, _bytes_field(5, values))))

    def picture(self, name: str, path: Path) -> None:
        """Nothing: TensorBoard draws the curves itself."""

    def close(self) -> None:
        """Nothing: every point is written."""


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of bytes."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_table_entry(byte) for byte in range(256))


def _framed(message: bytes) -> bytes:
    """Return a TFRecord: length, its checksum, content, its checksum."""
    length = struct.pack("<Q", len(message))
    return length + _masked(length) + message + _masked(message)


def _masked(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF)


def _event(wall_time: float, step: int, what: bytes) -> bytes:
    count = b"\x10" + _varint(step) if step else b""  # a zero is left out, as protobuf does
    return b"\x09" + struct.pack("<d", wall_time) + count + what


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:  # noqa: PLR2004  (seven bits a byte)
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
