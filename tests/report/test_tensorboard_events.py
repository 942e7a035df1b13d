"""Event files: byte for byte what protobuf and TensorBoard's own framing make."""

import struct
from pathlib import Path

import pytest

from medlora.report.tensorboard_events import EventFile, crc32c

# Three events written with tensorboardX 2.6.5 and protobuf 7.36.2: version, session start, and
# at 1700000001.25, step 300: train_loss 1.5, learning_rate 1e-4.
GOLDEN = bytes.fromhex(
    "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a32"
    "2b353110100000000000000095fbfe180900002040fc54d94110ac023a020801b94512a3"
    "3700000000000000e7e8ca590900005040fc54d94110ac022a290a110a0a747261696e5f"
    "6c6f7373150000c03f0a140a0d6c6561726e696e675f726174651517b7d1381112e4f1"
)


def test_the_bytes_are_those_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Framing, checksums and messages, all of them."""
    events = EventFile(tmp_path, started=1700000000.5, first_step=300)
    monkeypatch.setattr("time.time", lambda: 1700000001.25)
    events.log({"train_loss": 1.5, "learning_rate": 1e-4}, 300)
    events.close()
    (file,) = tmp_path.iterdir()
    assert file.name == "events.out.tfevents.1700000000.300"
    assert file.read_bytes() == GOLDEN


def test_the_checksum_is_crc_32c() -> None:
    """The check value of the CRC catalogue, and RFC 3720's 32 zeros."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_every_point_is_on_the_disk_at_once(tmp_path: Path) -> None:
    """Whole records only, so that a killed run leaves a readable file."""
    events = EventFile(tmp_path, started=1.0)
    (file,) = tmp_path.iterdir()
    for step in range(1, 4):
        events.log({"a": float(step)}, step)
        content, records = file.read_bytes(), 0
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            assert len(content) >= length + 16
            content, records = content[length + 16 :], records + 1
        assert records == step + 2
