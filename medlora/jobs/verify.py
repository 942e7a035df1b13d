"""`medlora verify`: every byte of a run against the digests that its manifests state."""

from pathlib import Path

from medlora.checkpoint.store import MANIFEST, DamagedError, UnreadableError, read_manifest
from medlora.errors import IntegrityError, MissingPartError, StorageError, listed
from medlora.files import storage_errors
from medlora.logs import show


def run(folder: Path) -> None:
    """Check every folder of a run that has, or should have, a manifest; print a line for each.

    Args:
        folder: the run's folder, or one checkpoint of it.

    Raises:
        IntegrityError: something is not as it was written.
        StorageError: what could be read is, and the rest could not be read.
        MissingPartError: there is nothing to check.
    """
    with storage_errors(folder):
        places = _places(folder)
    if not places:
        raise MissingPartError(
            f"{folder}: no folder with a {MANIFEST}", fix="name a run's folder or its final/"
        )
    checked = [(place, _check(place)) for place in places]
    problems = [f"{place}: {error}" for place, error in checked if error]
    if all(isinstance(error, UnreadableError | None) for _, error in checked):
        if problems:
            raise StorageError(
                listed(problems, what=f"{folder} cannot be read"),
                fix="check it as its owner, or make it readable for this user",
            )
        return
    raise IntegrityError(
        listed(problems, what=f"{folder} is not as it was written"),
        fix="restore it from a copy, or train again: medlora train resumes from what is whole",
    )


def _places(folder: Path) -> list[Path]:
    if (folder / MANIFEST).exists():
        return [folder]
    if not folder.is_dir():
        return []
    inner = (path for path in sorted(folder.iterdir()) if path.is_dir())
    return [path for path in inner if not path.name.startswith((".", "broken-"))]


def _check(place: Path) -> DamagedError | None:
    """Print a folder's line; return what is wrong with it."""
    try:
        manifest = read_manifest(place)
    except UnreadableError as error:
        show(f"UNREAD   {place.name}: {error}")
        return error
    except DamagedError as error:
        show(f"DAMAGED  {place.name}: {error}")
        return error
    show(
        f"ok       {place.name}: {manifest.get('kind')} of step {manifest.get('step')}, "
        f"{len(manifest['files'])} files, manifest {manifest['sha256'][:12]}"
    )
    return None
