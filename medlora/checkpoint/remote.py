"""Checkpoint folders in an object store, under the rules that hold on a disk.

A folder counts when its manifest is there, unchanged, and every file is as it says.  Objects
appear one by one, so the manifest comes last and goes first.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from medlora.checkpoint.beyond_digests import prove
from medlora.checkpoint.names import step_of, surplus
from medlora.errors import StorageError
from medlora.files import MANIFEST, DamagedError, received_folder
from medlora.logs import logger
from medlora.storage.store import Object, Store, at_once

_log = logger(__name__)
_TRIES = 2  # a folder is called damaged only where it arrives so every time
Folders = Mapping[str, Mapping[str, Object]]


def upload(store: Store, folder: Path) -> None:
    """Copy a committed folder to its place; it counts there once all of it is there.

    Args:
        store: of the folder's own place.
        folder: here, with a manifest.

    Raises:
        StorageError: the service failed; the folder here is as it was.
    """
    content = (folder / MANIFEST).read_bytes()
    if store.read(MANIFEST) == content:
        return
    there = store.objects()
    remove(store, there)
    files = json.loads(content)["files"]
    at_once(lambda name: store.put(folder / name, name), files)
    arrived = {name: stored.size for name, stored in store.objects().items()}
    if arrived != {name: (folder / name).stat().st_size for name in files}:
        raise StorageError(
            f"{store.location}: the stored files are not those that were sent",
            fix="make sure that nothing else writes there, and run it again",
        )
    store.put(folder / MANIFEST, MANIFEST)


def download(store: Store, folder: Path) -> None:
    """Copy a folder here; it appears whole and proven, or not at all.

    Args:
        store: of the folder's own place.
        folder: its name here; one that is there is replaced.

    Raises:
        DamagedError: says what is not as it was written.
        StorageError: the service failed, or the disk is full.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            with received_folder(folder) as temporary:
                _fill(store, temporary, name=folder.name)
        except DamagedError:
            if attempt == _TRIES:
                raise
        else:
            return


def _fill(store: Store, temporary: Path, *, name: str) -> None:
    names = store.objects()
    nested = [name for name in names if "/" in name or name in {"", ".."}]
    if nested:
        raise DamagedError(f"{nested[0]} does not belong in this folder")
    at_once(lambda path: store.get(path, temporary / path), names)
    prove(temporary, name=name)


def remove(store: Store, names: Mapping[str, Object]) -> None:
    """Delete a folder's objects, its manifest first."""
    store.remove(sorted(names, key=lambda name: (name != MANIFEST, name)))


def set_aside(store: Store, name: str, reason: DamagedError) -> None:
    """Rename a damaged folder `broken-...`, with a line."""
    number = next(n for n in range(1, 1000) if not store.objects(f"broken-{name}-{n}"))
    move(store, name, f"broken-{name}-{number}")
    _log.warning(
        "checkpoint %s is skipped and was renamed broken-%s-%d: %s",
        store.location / name,
        name,
        number,
        reason,
    )


def move(store: Store, old: str, new: str, *, but: Collection[str] = ()) -> None:
    """Rename a folder; what is lost on the way is done again by whoever calls this again.

    Args:
        store: what the folder is in.
        old: its name.
        new: its name from now on.
        but: names in it that stay.
    """
    names = {name: stored for name, stored in store.objects(old).items() if name not in but}
    at_once(lambda name: store.copy(f"{old}/{name}", f"{new}/{name}"), names)
    remove(store.below(old), names)


def prune(store: Store, *, keep: int, step: int) -> None:
    """Delete all but the newest `keep` step checkpoints, as `resume.prune` does here."""
    folders = by_folder(store.objects())
    whole = [name for name, files in folders.items() if MANIFEST in files]
    for name in surplus(whole, keep=keep, step=step):
        remove(store.below(name), folders[name])


def by_folder(objects: Mapping[str, Object]) -> dict[str, dict[str, Object]]:
    """Return {folder: {name in it: object}}; what lies beside the folders is left out."""
    folders: dict[str, dict[str, Object]] = {}
    for path, stored in objects.items():
        folder, slash, name = path.partition("/")
        if slash:
            folders.setdefault(folder, {})[name] = stored
    return folders


def claimed_step(store: Store, name: str) -> int:
    """Return the step that a folder says it has, unchecked; for its place in the line only."""
    stated = step_of(name)
    if stated is not None:
        return stated
    try:
        step = json.loads(store.read(f"{name}/{MANIFEST}") or b"")["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return step if isinstance(step, int) else 0
