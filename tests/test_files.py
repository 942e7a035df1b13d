"""Writes are whole or not at all, and shared with the group."""

import os
from pathlib import Path

import pytest

from medlora.errors import StorageError
from medlora.files import (
    TEMPORARY,
    make_folder,
    replace_folder,
    sha256_file,
    sha256_json,
    sweep,
    write_bytes,
)


def test_a_failed_fill_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    """An interrupted replacement keeps the old content under the name."""
    target = tmp_path / "final"
    replace_folder(target, lambda folder: (folder / "a").write_text("old") and None)

    def broken(folder: Path) -> None:
        (folder / "a").write_text("new")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        replace_folder(target, broken)
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_what_is_written_is_shared_with_the_group(tmp_path: Path) -> None:
    """Files and folders have the same rights for the group as for the owner."""
    os.umask(0o022)
    make_folder(tmp_path / "out/run")
    write_bytes(tmp_path / "out/run/file", b"x")
    replace_folder(
        tmp_path / "out/run/final", lambda folder: (folder / "a").write_text("") and None
    )
    for path in [*(tmp_path / "out").rglob("*"), tmp_path / "out"]:
        mode = path.stat().st_mode
        assert (mode >> 3) & 0o7 == (mode >> 6) & 0o7, path


def test_sweep_deletes_only_leftovers(tmp_path: Path) -> None:
    """Temporaries of a killed process go; everything else stays."""
    (tmp_path / f"{TEMPORARY}final-1").mkdir()
    (tmp_path / f"{TEMPORARY}2").write_text("half")
    (tmp_path / "final").mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_digests_are_the_standard_ones(tmp_path: Path) -> None:
    """SHA-256 of a known content, and JSON digests that ignore the order of keys."""
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "a") == known
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})


def test_a_missing_parent_is_a_storage_error(tmp_path: Path) -> None:
    """An unwritable place ends with 74, naming the path."""
    with pytest.raises(StorageError, match="nowhere") as error:
        write_bytes(tmp_path / "nowhere/file", b"x")
    assert error.value.exit_code == 74
