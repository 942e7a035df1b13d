"""Find the newest checkpoint that proves itself; set the others aside, each with a line."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from medlora.checkpoint.beyond_digests import prove
from medlora.checkpoint.names import ENDS, is_resumable, step_of, surplus
from medlora.checkpoint.schema import Manifest
from medlora.files import MANIFEST, DamagedError, ForbiddenError, read_stated, remove, rename
from medlora.logs import logger

_log = logger(__name__)


def newest_valid(run: Path) -> tuple[Path, Manifest] | None:
    """Return the newest checkpoint of a run and its manifest, None where there is none.

    One that is damaged, or another user's and not to be read, is renamed `broken-...` if that
    may be done, and the next older one is tried.  Only the run's owner may call it.

    Raises:
        StorageError: the run's folder cannot be written.
    """
    for folder in _newest_first(run):
        try:
            return folder, prove(folder)
        except DamagedError as error:
            _log.warning("checkpoint %s is skipped %s: %s", folder.name, set_aside(folder), error)
    return None


def newest_proven(run: Path) -> tuple[Path, Manifest] | None:
    """Return what `newest_valid` would, and leave everything as it is; there may be no run."""
    for folder in _newest_first(run) if run.is_dir() else ():
        with suppress(DamagedError):
            return folder, prove(folder)
    return None


def stated_by(run: Path) -> Iterator[Manifest]:
    """Yield the manifests of a run's result and of its checkpoints; there may be no run.

    What is damaged is passed over; whether the rest may be trusted is looked at on resuming.
    """
    for folder in (*(run / end for end in ENDS), *(_newest_first(run) if run.is_dir() else ())):
        with suppress(DamagedError):
            yield cast("Manifest", read_stated(folder / MANIFEST))


def _newest_first(run: Path) -> list[Path]:
    """Return a run's checkpoints by the step that they claim, those of the same one by name."""
    return sorted(
        checkpoints(run), key=lambda folder: (_claimed_step(folder), folder.name), reverse=True
    )


def set_aside(folder: Path) -> str:
    """Rename what does not prove itself `broken-...`; return what became of it, in words."""
    aside = _free_name(folder.parent, f"broken-{folder.name}")
    try:
        rename(folder, aside)
    except ForbiddenError:
        return "and cannot be renamed"
    return f"and was renamed {aside.name}"


def checkpoints(run: Path) -> list[Path]:
    """Return the folders of a run that training can go on from, and the links of such names."""
    named = (path for path in run.iterdir() if is_resumable(path.name))
    return [path for path in named if path.is_symlink() or path.is_dir()]


def prune(run: Path, *, keep: int, step: int) -> None:
    """Delete all but the newest `keep` step checkpoints; epochs and the best one stay.

    Call it after the newer one is committed.  What is another user's stays, with a line.

    Args:
        run: the run's folder.
        keep: how many stay.
        step: where the run is; what claims a later one (another user's, left in place) stays.

    Raises:
        StorageError: one cannot be deleted.
    """
    own = [path.name for path in checkpoints(run) if not path.is_symlink()]
    for name in surplus(own, keep=keep, step=step):
        try:
            remove(run / name)
        except ForbiddenError as error:
            _log.warning("checkpoint %s could not be deleted: %s", name, error.headline)


def _claimed_step(folder: Path) -> int:
    """Return the step that a folder says it has; for its place in the line only."""
    stated = step_of(folder.name)
    if stated is not None:
        return stated
    try:
        step = read_stated(folder / MANIFEST).get("step")
    except DamagedError:
        return 0
    return step if isinstance(step, int) else 0


def _free_name(run: Path, name: str) -> Path:
    taken = {path.name for path in run.iterdir()}
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in taken)
    return run / f"{name}-{number}"
