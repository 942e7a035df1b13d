"""JSON that proves itself, and manifests: such JSON that proves the files beside it as well.

An object states the SHA-256 of all else that it states; a manifest also that of each file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medlora.files.errors import owner_of
from medlora.files.folder import NewFolder
from medlora.files.json_text import json_bytes, sha256_json

MANIFEST = "manifest.json"
_DIGEST = "sha256"


class DamagedError(Exception):
    """A file or folder is not as it was written; the message says what differs."""


class UnreadableError(DamagedError):
    """Whether something is as it was written cannot be told: this user may not read it."""


def unreadable(path: Path) -> UnreadableError:
    """Return what says whose a file or folder is that this user may not read."""
    return UnreadableError(f"{path.name}: uid {os.getuid()} may not read it, {owner_of(path)}")


def proven_bytes(stated: Mapping[str, object]) -> bytes:
    """Return the content of a file that proves itself.

    Args:
        stated: JSON values; `sha256` is added.
    """
    return json_bytes({**stated, _DIGEST: sha256_json(stated)})


def read_proven(file: Path) -> dict[str, Any]:
    """Return what a file states that proves itself, its own digest among it.

    Raises:
        UnreadableError: this user may not read it.
        DamagedError: it is not as it was written.
    """
    try:
        if file.exists() and not file.is_file():  # to open a pipe is to wait for ever
            raise DamagedError("its manifest is not a file")
        content = file.read_bytes()
        value = json.loads(content)
    except FileNotFoundError:
        raise DamagedError("it has no manifest") from None
    except PermissionError:
        raise unreadable(file) from None
    except (OSError, ValueError, RecursionError):
        raise DamagedError("its manifest cannot be read") from None
    if not isinstance(value, dict) or not _is_unchanged(value, content):
        raise DamagedError("its manifest was changed")
    return value


def _is_unchanged(value: dict[str, Any], content: bytes) -> bool:
    """Tell whether a file is what we would write, to the byte, and proves itself."""
    stated = {key: part for key, part in value.items() if key != _DIGEST}
    try:
        return json_bytes(value) == content and value.get(_DIGEST) == sha256_json(stated)
    except ValueError:  # NaN, or half of a character: we would not write it
        return False


def manifest_bytes(digests: Mapping[str, str], facts: Mapping[str, object]) -> bytes:
    """Return the content of a manifest.

    Args:
        digests: {file name: SHA-256} of all that is to lie beside it.
        facts: JSON values; `files` and `sha256` are added.
    """
    return proven_bytes({**facts, "files": dict(sorted(digests.items()))})


def write_manifest(folder: NewFolder, facts: Mapping[str, object]) -> None:
    """Write the manifest of a folder that was filled; the last write to it."""
    folder.append(MANIFEST, manifest_bytes(folder.sync(), facts))


def read_stated(file: Path) -> dict[str, Any]:
    """Return a manifest that proves itself; what it states of other files is not looked at.

    Raises:
        UnreadableError: this user may not read it.
        DamagedError: it is not as it was written.
    """
    manifest = read_proven(file)
    if not isinstance(manifest.get("files"), dict):
        raise DamagedError("its manifest was changed")
    return manifest
