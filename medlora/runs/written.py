"""`written.json`: what a finished run says it wrote, so that what goes missing later is told.

A manifest vouches for the files beside it; nothing else vouches for a folder that is gone.
"""

import os
from pathlib import Path
from typing import TypedDict, cast

from medlora.checkpoint.names import FINAL, REJECTED, is_ours
from medlora.files import (
    MANIFEST,
    DamagedError,
    manifest_bytes,
    read_stated,
    remove,
    sha256_file,
    storage_errors,
    write_bytes,
)


class Written(TypedDict, total=False):
    """What a finished run says it wrote; nothing where it says nothing."""

    folders: dict[str, str]  # name -> SHA-256 of its manifest
    files: dict[str, str]  # name -> SHA-256
    made_again: list[str]  # files that may change


RECORD = "written.json"
SCHEMA = 1
_FILES = ("data_audit.json", "metrics.jsonl", "training_curves.png")
MADE_AGAIN = ("report.html",)  # `medlora report` may have more to show later


def leave(run: Path) -> None:
    """Write down what is in the folder of a run that has ended; its owner alone may call it.

    Raises:
        StorageError: the folder cannot be read or written.
    """
    with storage_errors(run):
        names = {path.name for path in run.iterdir() if not path.is_symlink()}
    names -= {REJECTED} if FINAL in names else set()  # by an earlier gate: about to go
    folders = [name for name in sorted(names) if is_ours(name) and _can_read(run / name / MANIFEST)]
    facts = {
        "schema": SCHEMA,
        "kind": "record",
        "folders": {name: sha256_file(run / name / MANIFEST) for name in folders},
        "made_again": [name for name in MADE_AGAIN if name in names],
    }
    digests = {name: sha256_file(run / name) for name in _FILES if name in names}
    write_bytes(run / RECORD, manifest_bytes(digests, facts))


def _can_read(file: Path) -> bool:
    """Tell whether a file is there and this user may read it; another one's counts for nothing."""
    return os.access(file, os.R_OK) and file.is_file()


def is_left(run: Path) -> bool:
    """Tell whether the record is there, as it was written."""
    try:
        return bool(read(run))
    except DamagedError:
        return False


def forget(run: Path) -> None:
    """Delete the record of a run that goes on."""
    if (run / RECORD).exists():
        remove(run / RECORD)


def read(run: Path) -> Written:
    """Return the record of a run, empty where there is none.

    Raises:
        DamagedError: it is not as it was written.
    """
    if not (run / RECORD).exists():
        return {}
    stated = read_stated(run / RECORD)
    match stated:
        case {"folders": dict() as folders, "files": dict() as files, "made_again": list() as made}:
            names = (*folders, *files, *made)
            if all(isinstance(name, str) and "/" not in name for name in names):
                return cast("Written", stated)
    raise DamagedError("its content is not in the format that MedLoRA writes")
