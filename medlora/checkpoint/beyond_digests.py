"""What a folder of a run has to prove beyond its digests: that it is what its name says.

Whoever may write into a run's folder can copy, rename and link whole checkpoints, and every digest
in them still agrees.  So links are not followed, and name, manifest and progress have to tell of
the same step.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from medlora.checkpoint.folder_format import read_manifest
from medlora.checkpoint.names import BEST, EPOCH, FINAL, PROGRESS, REJECTED, is_resumable, step_of
from medlora.checkpoint.schema import Manifest
from medlora.files import DamagedError


def prove(folder: Path, *, name: str | None = None) -> Manifest:
    """Return the manifest of a run's folder after checking all that it claims.

    Args:
        folder: the folder.
        name: what it is to be called, if it has not got that name yet.

    Raises:
        UnreadableError: this user may not read it.
        DamagedError: says what is not as it was written, or not what the name says.
    """
    with suppress(PermissionError):  # of what may not be looked at, the next line says so
        _refuse_links(folder)
    manifest = read_manifest(folder)
    for problem in _contradictions(folder, name or folder.name, manifest):
        raise DamagedError(problem)
    return manifest


def is_proven(folder: Path) -> bool:
    """Tell whether a folder is there, whole, and what its name says."""
    try:
        prove(folder)
    except DamagedError:
        return False
    return True


def _refuse_links(folder: Path) -> None:
    if folder.is_symlink():
        raise DamagedError("it is a symbolic link, which is not followed")
    for item in sorted(folder.rglob("*")):
        place = item.relative_to(folder)
        if item.is_symlink():
            raise DamagedError(f"{place} is a symbolic link, which is not followed")
        if not item.is_file() and not item.is_dir():  # to open a pipe is to wait for ever
            raise DamagedError(f"{place} is neither a file nor a folder")


def _contradictions(folder: Path, name: str, manifest: Manifest) -> Iterator[str]:
    """Yield what a folder's manifest says that its name does not."""
    if is_resumable(name):
        yield from _of_a_checkpoint(folder, name, manifest)
    kind, status = manifest.get("kind"), manifest.get("status")
    if name == BEST and kind != "adapter":
        yield f"its manifest says that it is no best model ({kind})"
    if name == FINAL and status == "rejected":
        yield "its manifest says that the gate rejected it"
    if name == REJECTED and status != "rejected":
        yield "its manifest says that the gate did not reject it"


def _of_a_checkpoint(folder: Path, name: str, manifest: Manifest) -> Iterator[str]:
    step = manifest.get("step")
    if manifest.get("kind") != "checkpoint":
        yield f"its manifest says that it is no checkpoint ({manifest.get('kind')})"
    if step_of(name) not in (None, step):
        yield f"its manifest is of step {step}"
    if (match := EPOCH.fullmatch(name)) and manifest.get("epoch", int(match[1])) != int(match[1]):
        yield f"its manifest is of epoch {manifest['epoch']}"
    reached = read_progress(folder).get("step")
    if reached != step:
        yield f"its manifest is of step {step}, its {PROGRESS} of step {reached}"


def read_progress(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint states of its run's progress, {} where that cannot be read."""
    try:
        progress = json.loads((folder / PROGRESS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return progress if isinstance(progress, dict) else {}
