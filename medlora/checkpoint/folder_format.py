"""Checkpoint folders: files, and a manifest that names every file's SHA-256 and its own.

A folder counts when its manifest is there, unchanged, and every file is as the manifest says.
The manifest is written last.  Nothing is pickled.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from medlora.checkpoint.schema import Manifest
from medlora.errors import StorageError
from medlora.files import (
    MANIFEST,
    DamagedError,
    ForbiddenError,
    UnreadableError,
    manifest_bytes,
    read_stated,
    sha256_bytes,
    sha256_files,
    unreadable,
    write_folder,
)


def write_checkpoint(folder: Path, files: Mapping[str, bytes], facts: Mapping[str, object]) -> None:
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


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder after checking every byte that it vouches for.

    Raises:
        UnreadableError: this user may not read it.
        DamagedError: says what is not as it was written.
    """
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise unreadable(folder)
    manifest = cast("Manifest", read_stated(folder / MANIFEST))
    try:
        actual = sha256_files(folder)
    except ForbiddenError as error:
        raise UnreadableError(error.headline) from None
    except StorageError as error:
        raise DamagedError(error.headline) from None
    actual.pop(MANIFEST, None)
    _compare(manifest["files"], actual)
    return manifest


def _compare(stated: dict[str, str], actual: dict[str, str]) -> None:
    for name in sorted(stated.keys() | actual.keys()):
        if name not in actual:
            raise DamagedError(f"{name} is missing")
        if name not in stated:
            raise DamagedError(f"{name} is not listed in its manifest")
        if stated[name] != actual[name]:
            raise DamagedError(f"{name} was changed")
