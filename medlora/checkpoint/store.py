"""Checkpoint folders: files, and a manifest that names every file's SHA-256 and its own.

A folder counts when its manifest is there, unchanged, and every file is as the manifest says.
The manifest is written last.  Nothing is pickled.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medlora.errors import StorageError
from medlora.files import (
    ForbiddenError,
    json_bytes,
    owner_of,
    sha256_bytes,
    sha256_files,
    sha256_json,
    write_folder,
)

MANIFEST = "manifest.json"


def write_checkpoint(folder: Path, files: Mapping[str, bytes], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint in one step: the folder appears whole, or stays as it was.

    Args:
        folder: its final name.
        files: {file name: content}.
        facts: JSON values for the manifest; `files` and `sha256` are added.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    digests = {name: sha256_bytes(content) for name, content in files.items()}
    write_folder(folder, {**files, MANIFEST: manifest_bytes(digests, facts)})


def manifest_bytes(digests: Mapping[str, str], facts: Mapping[str, Any]) -> bytes:
    """Return the content of a manifest.

    Args:
        digests: {file name: SHA-256} of all that is to lie beside it.
        facts: JSON values; `files` and `sha256` are added.
    """
    stated = {**facts, "files": dict(sorted(digests.items()))}
    return json_bytes({**stated, "sha256": sha256_json(stated)})


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder after checking every byte that it vouches for.

    Raises:
        UnreadableError: this user may not read it.
        DamagedError: says what is not as it was written.
    """
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise _unreadable(folder)
    manifest = read_stated(folder / MANIFEST)
    try:
        found = sha256_files(folder)
    except ForbiddenError as error:
        raise UnreadableError(error.headline) from None
    except StorageError as error:
        raise DamagedError(error.headline) from None
    found.pop(MANIFEST, None)
    _compare(manifest["files"], found)
    return manifest


def read_stated(file: Path) -> dict[str, Any]:
    """Return a manifest that vouches for itself; what it states of other files is not looked at.

    Raises:
        UnreadableError: this user may not read it.
        DamagedError: it is not as it was written.
    """
    try:
        if file.exists() and not file.is_file():  # to open a pipe is to wait for ever
            raise DamagedError("its manifest is no file")
        raw = file.read_bytes()
        manifest = json.loads(raw)
    except FileNotFoundError:
        raise DamagedError("it has no manifest") from None
    except PermissionError:
        raise _unreadable(file) from None
    except (OSError, ValueError, RecursionError):
        raise DamagedError("its manifest cannot be read") from None
    if not isinstance(manifest, dict) or not _is_unchanged(manifest, raw):
        raise DamagedError("its manifest was changed")
    return manifest


class DamagedError(Exception):
    """A folder is not as it was written; the message says what differs."""


class UnreadableError(DamagedError):
    """Whether a folder is as it was written cannot be told: this user may not read it."""


def _unreadable(path: Path) -> UnreadableError:
    return UnreadableError(f"{path.name}: uid {os.getuid()} may not read it, {owner_of(path)}")


def _is_unchanged(manifest: dict[str, Any], raw: bytes) -> bool:
    """Tell whether the manifest is what we would write, to the byte, and vouches for itself."""
    stated = {key: value for key, value in manifest.items() if key != "sha256"}
    try:
        if not isinstance(manifest.get("files"), dict) or json_bytes(manifest) != raw:
            return False
        return bool(manifest.get("sha256") == sha256_json(stated))
    except ValueError:  # NaN, or half of a character: we would not write it
        return False


def _compare(stated: dict[str, str], found: dict[str, str]) -> None:
    for name in sorted(stated.keys() | found.keys()):
        if name not in found:
            raise DamagedError(f"{name} is missing")
        if name not in stated:
            raise DamagedError(f"{name} does not belong to it")
        if stated[name] != found[name]:
            raise DamagedError(f"{name} was changed")
