"""A folder counts when every byte is what its manifest says, the manifest's own included."""

from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest, write_checkpoint
from medlora.files import MANIFEST, DamagedError

FILES = {"adapter.safetensors": bytes(range(256)) * 4, "progress.json": b'{"step": 3}\n'}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint of two files."""
    write_checkpoint(tmp_path / "c", FILES, {"kind": "checkpoint", "step": 3, "loss": 0.1})
    return tmp_path / "c"


def test_a_checkpoint_states_its_facts_and_its_files(saved: Path) -> None:
    """The facts given, and the digest of each file."""
    manifest = read_manifest(saved)
    assert manifest["step"] == 3
    assert set(manifest["files"]) == set(FILES)
    assert {path.name for path in saved.iterdir()} == {MANIFEST, *FILES}


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", ["truncated", "missing", "empty", "another run's"])
def test_any_damage_to_any_file_is_seen(saved: Path, name: str, damage: str) -> None:
    """What differs is named."""
    file = saved / name
    match damage:
        case "truncated":
            file.write_bytes(file.read_bytes()[:-1])
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "another run's":
            other = {key: value + b" " for key, value in FILES.items()}
            write_checkpoint(saved.parent / "d", other, {"kind": "checkpoint", "step": 4})
            file.write_bytes((saved.parent / "d" / name).read_bytes())
    with pytest.raises(DamagedError):
        read_manifest(saved)


def test_a_file_too_many_is_seen(saved: Path) -> None:
    """A folder holds what its manifest names and nothing else."""
    (saved / "extra").touch()
    with pytest.raises(DamagedError, match="extra is not listed"):
        read_manifest(saved)


@pytest.mark.parametrize("value", ["NaN", '"\\ud800"', "1e999"])
def test_a_manifest_that_we_would_never_write_is_damaged(tmp_path: Path, value: str) -> None:
    """Not a bug: JSON has numbers and halves of characters that have no bytes."""
    (tmp_path / "manifest.json").write_text(f'{{"files": {{}}, "sha256": "0", "x": {value}}}')
    with pytest.raises(DamagedError, match="changed"):
        read_manifest(tmp_path)
