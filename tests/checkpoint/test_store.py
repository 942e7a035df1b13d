"""A folder counts when every file is what its manifest says."""

from pathlib import Path

import pytest

from medlora.checkpoint.store import MANIFEST, read_manifest, save_checkpoint
from medlora.config import LoraConfig, ModelConfig
from medlora.model.adapter import attach
from medlora.model.base import load_base


@pytest.fixture
def saved(base_folder: Path, tokenizer, tmp_path: Path) -> Path:
    """A checkpoint of the small model."""
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=2), seed=1)
    save_checkpoint(tmp_path / "c", model, tokenizer, facts={"kind": "checkpoint", "step": 3})
    return tmp_path / "c"


def test_a_checkpoint_has_all_it_takes(saved: Path) -> None:
    """Adapter, tokenizer, chat template, and a manifest with the facts given."""
    manifest = read_manifest(saved)
    assert manifest is not None
    assert manifest["step"] == 3
    assert {path.name for path in saved.iterdir()} == {MANIFEST, *manifest["files"]}
    assert {"adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(
        manifest["files"]
    )


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "add", "no manifest", "not json"])
def test_any_damage_is_seen(saved: Path, damage: str) -> None:
    """A manifest is not handed out for a folder that is not as it was written."""
    weights = saved / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    match damage:
        case "flip":
            content[len(content) // 2] ^= 1
            weights.write_bytes(content)
        case "truncate":
            weights.write_bytes(content[:-1])
        case "delete":
            weights.unlink()
        case "add":
            (saved / "extra").touch()
        case "no manifest":
            (saved / MANIFEST).unlink()
        case "not json":
            (saved / MANIFEST).write_text("{")
    assert read_manifest(saved) is None
