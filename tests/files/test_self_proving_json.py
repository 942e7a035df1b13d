"""JSON that proves itself: as it was written to the byte, or damaged."""

import json
import os
from pathlib import Path

import pytest

from medlora.files import DamagedError, proven_bytes, read_proven


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """With the digest of all else that it states."""
    (tmp_path / "a.json").write_bytes(proven_bytes({"rows": 3, "names": ["é"]}))
    value = read_proven(tmp_path / "a.json")
    assert value.pop("sha256")
    assert value == {"rows": 3, "names": ["é"]}


@pytest.mark.parametrize(
    "content",
    [
        proven_bytes({"rows": 3}).replace(b"3", b"4"),
        proven_bytes({"rows": 3}) + b"\n",  # the same values, another byte
        json.dumps({"rows": 3}).encode(),
        b'["no object"]',
        b"7",
        b"[" * 100_000,
        b'{"rows"',
    ],
    ids=["changed", "longer", "no digest", "a list", "a number", "deep", "cut"],
)
def test_anything_else_is_damaged(tmp_path: Path, content: bytes) -> None:
    """Whatever stands there; never an error of another kind."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedError):
        read_proven(tmp_path / "a.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(DamagedError, match="not a file"):
        read_proven(tmp_path / "a.json")
