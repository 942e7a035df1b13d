"""The table of contents of a safetensors file."""

import json
from typing import Any, BinaryIO


def read_header(stream: BinaryIO) -> dict[str, dict[str, Any]]:
    """Return {tensor: its `dtype`, `shape` and `data_offsets`}.

    Source: the format's description; 8 bytes of length, little-endian, then that much JSON.
    """
    length = int.from_bytes(stream.read(8), "little")
    entries = json.loads(stream.read(length))
    return {name: entry for name, entry in entries.items() if name != "__metadata__"}
