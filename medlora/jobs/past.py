"""A finished run, found again: its folder and its manifest."""

from pathlib import Path
from typing import Any

from medlora.checkpoint.store import MANIFEST, DamagedError, UnreadableError, read_manifest
from medlora.errors import IntegrityError, MissingPartError, StorageError
from medlora.files import storage_errors

_PLACES = (".", "final", "rejected")


def final_of(folder: Path) -> Path:
    """Return where a run's result is: the folder itself, its final/, or its rejected/."""
    with storage_errors(folder):
        found = (folder / name for name in _PLACES if (folder / name / MANIFEST).exists())
        return next(found, folder / "final")


def finished_manifest(final: Path) -> dict[str, Any]:
    """Return the manifest of a finished run, after checking every byte beside it.

    Raises:
        MissingPartError: there is no finished run.
        IntegrityError: it is damaged.
        StorageError: it cannot be read.
    """
    if not final.is_dir():
        raise MissingPartError(f"{final}: not there", fix="name the folder of a finished run")
    try:
        manifest = read_manifest(final)
    except UnreadableError as error:
        raise StorageError(f"{final}: {error}", fix="make it readable for this user") from None
    except DamagedError as error:
        raise IntegrityError(f"{final} is damaged: {error}", fix="restore it from a copy") from None
    if manifest.get("kind") != "run":
        raise MissingPartError(f"{final}: no finished run", fix="name a run's folder or its final/")
    return manifest
