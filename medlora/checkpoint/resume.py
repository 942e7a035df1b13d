"""Find the newest checkpoint that proves itself; set the others aside, each with a line."""

import json
import re
from pathlib import Path
from typing import Any

from medlora.checkpoint.store import MANIFEST, DamagedError, read_manifest
from medlora.files import remove, rename
from medlora.logs import logger

_log = logger(__name__)
_RESUMABLE = re.compile(r"(step|epoch)_\d+")


def newest_valid(run: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint of a run and its manifest, None where there is none.

    A damaged one is renamed `broken-...` and the next older one is tried.  Only the run's
    owner may call it.

    Raises:
        StorageError: a damaged folder cannot be renamed.
    """
    for folder in sorted(checkpoints(run), key=_claimed_step, reverse=True):
        try:
            return folder, read_manifest(folder)
        except DamagedError as error:
            aside = _free_name(run, f"broken-{folder.name}")
            _log.warning("checkpoint %s is skipped, now %s: %s", folder.name, aside.name, error)
            rename(folder, aside)
    return None


def checkpoints(run: Path) -> list[Path]:
    """Return the folders of a run that training can go on from."""
    return [path for path in run.iterdir() if path.is_dir() and _RESUMABLE.fullmatch(path.name)]


def prune(run: Path, *, keep: int) -> None:
    """Delete all but the newest `keep` step checkpoints; epochs and the best one stay.

    Call it after the newer one is committed.

    Raises:
        StorageError: one cannot be deleted.
    """
    steps = [path for path in checkpoints(run) if path.name.startswith("step_")]
    for folder in sorted(steps, key=_claimed_step)[:-keep]:
        remove(folder)


def _claimed_step(folder: Path) -> int:
    """Return the step that a folder says it has, unchecked; for its place in the line only."""
    kind, _, number = folder.name.partition("_")
    if kind == "step":
        return int(number)
    try:
        step = json.loads((folder / MANIFEST).read_bytes())["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0
    return step if isinstance(step, int) else 0


def _free_name(run: Path, name: str) -> Path:
    taken = {path.name for path in run.iterdir()}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in taken)
    return run / f"{name}-{number}"
