"""The manifest's facts: the fingerprint sees mathematics, and nothing else."""

import hashlib
from pathlib import Path

import torch

from medlora.config import load
from medlora.report.run_manifest import config_facts, hardware, lock_digest, software


def test_the_lock_beside_the_environment_is_digested(tmp_path: Path) -> None:
    """uv.lock lies beside .venv, in a checkout as in the image."""
    (tmp_path / "uv.lock").write_bytes(b"abc")
    assert lock_digest(tmp_path / ".venv") == hashlib.sha256(b"abc").hexdigest()
    assert lock_digest(tmp_path / "else/.venv") is None
    assert (
        software()["lock_sha256"]
        == hashlib.sha256(Path(__file__, "../../../uv.lock").resolve().read_bytes()).hexdigest()
    )


def test_hardware_and_config_are_plain_json_facts() -> None:
    """The CPU is named; every key has a value and an origin."""
    facts = hardware(torch.device("cpu"))
    assert facts["cpu"]
    assert facts["memory_bytes"] > 2**30
    assert config_facts(load([]))["lora.r"] == {"value": 32, "origin": "default"}
