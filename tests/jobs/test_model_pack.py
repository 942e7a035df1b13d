"""A base model travels with digests: what changed on the way is named and refused."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from medlora.errors import DataError, IntegrityError, MissingPartError, StorageError
from medlora.jobs.model_pack import pack, verify
from medlora.model.base import digest_base
from medlora.model.sums import SUMS, check_sums, read_sums


@pytest.fixture
def packed(tmp_path: Path, base_folder: Path) -> Path:
    """The small base, packed with what does not travel beside it."""
    source = shutil.copytree(base_folder, tmp_path / "base")
    (source / "pytorch_model.bin").write_bytes(b"pickled")
    (source / "modeling.py").write_text("import os\n")
    (source / "LICENSE").write_text("terms\n")
    (source / "onnx").mkdir()
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates/rag.jinja").write_text("{{ messages }}")
    pack(source, tmp_path / "packed")
    return tmp_path / "packed"


def test_weights_tokenizer_and_licence_travel_and_nothing_that_runs(
    packed: Path, base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy decides the same base, bit for bit, any tool checks it, and a copy's copy is it."""
    names = {path.name for path in packed.iterdir()}
    assert {"LICENSE", "model.safetensors", "tokenizer.json", SUMS} <= names
    assert not names & {"pytorch_model.bin", "modeling.py", "onnx"}
    assert digest_base(packed) == digest_base(tmp_path / "base")
    assert "additional_chat_templates/rag.jinja" in digest_base(packed)
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=packed, check=True)
    digest = hashlib.sha256((packed / SUMS).read_bytes()).hexdigest()
    pack(packed, tmp_path / "again")
    told = capsys.readouterr().out
    assert f"left out  {SUMS}" in told
    assert f"model-verify again --expect {digest}" in told
    verify(packed, expect=digest.upper())
    assert "as expected" in capsys.readouterr().out


def test_every_damage_is_named(packed: Path) -> None:
    """A bit, a missing file, one more file: all of them, by name, with 77."""
    weights = packed / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    (packed / "tokenizer.json").unlink()
    (packed / "config2.json").write_text("{}")
    with pytest.raises(IntegrityError) as refused:
        verify(packed)
    said = str(refused.value)
    assert "model.safetensors: was changed" in said
    assert "tokenizer.json: is missing" in said
    assert "config2.json: not in the list" in said


def test_a_swapped_list_is_known_by_its_own_digest(packed: Path) -> None:
    """Who changes a file and its line is found by the digest that was told."""
    told = hashlib.sha256((packed / SUMS).read_bytes()).hexdigest()
    before = hashlib.sha256((packed / "config.json").read_bytes()).hexdigest()
    (packed / "config.json").write_text('{"model_type": "llama"}')
    after = hashlib.sha256((packed / "config.json").read_bytes()).hexdigest()
    sums = packed / SUMS
    sums.write_text(sums.read_text().replace(before, after))
    verify(packed)
    with pytest.raises(IntegrityError, match=f"{SUMS}: its SHA-256 is"):
        verify(packed, expect=told)


def test_a_run_refuses_a_base_that_its_list_does_not_state(packed: Path, base_folder: Path) -> None:
    """At no cost: the digests are made for the manifest anyway."""
    check_sums(packed, digest_base(packed))
    check_sums(base_folder, digest_base(base_folder))  # no list: nothing is stated
    (packed / "generation_config.json").write_text("{}")
    with pytest.raises(
        IntegrityError, match=r"generation_config\.json: not what SHA256SUMS states"
    ):
        check_sums(packed, digest_base(packed))


def test_a_list_that_is_no_file_of_the_folder_is_refused(packed: Path, tmp_path: Path) -> None:
    """One elsewhere is not opened, one without end is not read."""
    sums, acts = packed / SUMS, (verify, lambda folder: check_sums(folder, {}))
    sums.rename(tmp_path / "elsewhere")
    sums.symlink_to(tmp_path / "elsewhere")
    for act in acts:
        with pytest.raises(MissingPartError, match=f"{SUMS}: is a link to a file outside"):
            act(packed)
    sums.unlink()
    with sums.open("wb") as file:
        file.truncate(1 << 25)
    for act in acts:
        with pytest.raises(MissingPartError, match=f"{SUMS}: is larger than 16 MiB"):
            act(packed)


def test_what_cannot_be_packed_or_read_is_told(packed: Path, tmp_path: Path) -> None:
    """No model, a folder that is there, no list, a list of something else."""
    (tmp_path / "empty").mkdir()
    for source, target, error in (
        (tmp_path / "nowhere", tmp_path / "out", MissingPartError),
        (tmp_path / "empty", tmp_path / "out", MissingPartError),
        (packed, tmp_path / "empty", StorageError),
    ):
        with pytest.raises(error):
            pack(source, target)
    with pytest.raises(MissingPartError):
        verify(tmp_path / "empty")
    for line in ("../escape", "nonsense", f"{'0' * 64}  a/b", f"{'0' * 64}  .."):
        (packed / SUMS).write_text(line + "\n")
        with pytest.raises(DataError, match=f"{SUMS}:1: not a SHA-256"):
            read_sums(packed / SUMS)
