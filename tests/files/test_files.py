"""Writes are whole or not at all, and shared with the group."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from medlora import files
from medlora.errors import StorageError
from medlora.files import (
    REPLACED,
    TEMPORARY,
    json_bytes,
    json_line,
    make_folder,
    new_folder,
    remove,
    sha256_bytes,
    sha256_file,
    sha256_json,
    sweep,
    write_bytes,
    write_folder,
)


def test_a_failed_write_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted replacement keeps the old content under the name."""
    target = tmp_path / "final"
    write_folder(target, {"a": b"old"})

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files.disk, "create", full)
    with pytest.raises(StorageError, match="No space left"):
        write_folder(target, {"a": b"new"})
    assert (target / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_what_does_not_fit_is_refused_before_a_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the bytes needed and free."""
    usage = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="6 bytes are needed, but only 5 are free"):
        write_folder(tmp_path / "final", {"a": b"123", "b": b"456"})
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_shared_with_the_group(tmp_path: Path) -> None:
    """Files and folders have the same rights for the group as for the owner."""
    os.umask(0o022)
    make_folder(tmp_path / "out/run")
    write_bytes(tmp_path / "out/run/file", b"x")
    write_folder(tmp_path / "out/run/final", {"a": b""})
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


def test_what_was_about_to_be_replaced_gets_its_name_back(tmp_path: Path) -> None:
    """Unless the replacement is there: then the old one goes."""
    for name in ("lost", "there"):
        (tmp_path / f"{REPLACED}{name}-ab12").mkdir()
    (tmp_path / "there").mkdir()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lost", "there"]


def test_remove_takes_the_name_before_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle, no half folder is left under a name that counts."""
    write_folder(tmp_path / "step_1", {"a": b"1", "b": b"2"})

    def stopped(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.disk, "unlink", stopped)
    with pytest.raises(KeyboardInterrupt):
        remove(tmp_path / "step_1")
    assert not (tmp_path / "step_1").exists()
    monkeypatch.undo()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


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


def test_a_folder_that_grows_appears_whole(tmp_path: Path) -> None:
    """Nothing has the name before the end; its files are digested on the way."""
    with new_folder(tmp_path / "a") as folder:
        for part in (b"one", b"", b"two"):
            folder.append("x", part)
        assert not (tmp_path / "a").exists()
        assert folder.sync() == {"x": sha256_bytes(b"onetwo")}
    assert (tmp_path / "a/x").read_bytes() == b"onetwo"


def test_a_folder_that_fails_halfway_is_gone(tmp_path: Path) -> None:
    """Whatever the failure."""

    def fail() -> None:
        with new_folder(tmp_path / "b") as folder:
            folder.append("x", b"one")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_growing_folders_keeps_the_name(tmp_path: Path) -> None:
    """The second goes, whatever is in it."""
    with new_folder(tmp_path / "a") as late:
        late.append("x", b"late")
        with new_folder(tmp_path / "a") as early:
            early.append("x", b"early")
    assert (tmp_path / "a/x").read_bytes() == b"early"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_free_name_that_is_called_taken_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network's file system may: nobody else has the folder, so it must not be given up."""

    def refuse(_old: Path, new: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(new))

    monkeypatch.setattr(files.disk, "rename", refuse)
    with pytest.raises(StorageError, match="not empty"), new_folder(tmp_path / "a") as folder:
        folder.append("x", b"one")


def test_an_append_that_the_disk_takes_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that runs full takes what fits: the rest must be tried, and refused aloud."""

    class Slow(io.FileIO):
        def write(self, content: bytes, /) -> int:  # type: ignore[override]
            return super().write(bytes(content)[:2])

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Slow(path, "a"))
    files.disk.append(tmp_path / "x", b"seven..")
    assert os.stat(tmp_path / "x").st_size == 7  # noqa: PTH116  (`Path.open` is replaced)


def test_json_holds_a_name_of_any_bytes() -> None:
    """As an escape of JSON's own, which reads back as the same name."""
    name = {"file": os.fsdecode(b"\xff\x1b.csv")}
    for content in (json_bytes(name), json_line(name)):
        assert json.loads(content.decode()) == name
    assert sha256_json(name) != sha256_json({"file": ".csv"})


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """Root could: a report that is written to /dev/null would take its place, for everybody."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(StorageError, match="is a device, a pipe or a socket"):
            write_bytes(path, b"x")
        with pytest.raises(StorageError, match="is a device"), files.new_file(path):
            pass
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]
