"""The result where a platform, or a person, wants a copy of it: `training.final_dir`.

A result is there when its manifest is there and right.  A folder that has another one is replaced
by a rename, once the new one is whole.  Such a folder is often a mount, which cannot be renamed:
then the files in it are, the manifest last, the old ones being kept until all new ones are there.
"""

import errno
import glob
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medlora.checkpoint.folder_format import read_manifest
from medlora.config import TrainingConfig
from medlora.errors import ConfigError, StorageError
from medlora.files import (
    MANIFEST,
    REPLACED,
    TEMPORARY,
    ForbiddenError,
    make_folder,
    received_folder,
    remove,
    rename,
    sha256_file,
    storage_errors,
    write_bytes,
)
from medlora.logs import logger
from medlora.report.fingerprint import Inputs, differences

_log = logger(__name__)
_NEW, _OLD = f"{TEMPORARY}copy-", f"{REPLACED}copy-"  # in a folder that cannot be renamed
_A_MOUNT = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV)


def check_output(cfg: TrainingConfig, run: Path, inputs: Inputs) -> None:
    """Refuse, before anything is trained, a folder that the result cannot go to.

    Empty, or with a result of the same inputs, it is fit; with one of other inputs, where it may
    be overwritten.  Names that begin with a dot and folders do not count.

    Args:
        cfg: says where it goes.
        run: the run's own folder.
        inputs: what the result will be made of.

    Raises:
        ConfigError: it is the run's own, or holds something else.
        StorageError: it cannot be made or written.
    """
    if cfg.final_dir is None:
        return
    folder = Path(cfg.final_dir)
    if folder.resolve().is_relative_to(run.resolve()):
        raise ConfigError(
            f"training.final_dir: {folder} is inside of the run's own folder",
            fix="name another one, or none: the result is in final/ anyway",
        )
    make_folder(folder)
    others, stated = _files_in(folder), _stated(folder)
    if not others or _was_interrupted(folder):
        return
    if not stated:
        _refuse(folder, f"{len(others)} files of something else")
    if differences(stated["inputs"], inputs.facts["inputs"]):
        if not cfg.overwrite_final_dir:
            _refuse(
                folder,
                "the result of other inputs",
                way=", or set training.overwrite_final_dir: true",
            )
        foreign = others - _names(stated)
        if foreign:
            _refuse(folder, f"{len(foreign)} files of something else beside a result")


def _refuse(folder: Path, what: str, *, way: str = "") -> None:
    raise ConfigError(
        f"training.final_dir: {folder} holds {what}",
        fix=f"empty it, or name another folder (MEDLORA_OUTPUT){way}",
    )


def deliver(final: Path, final_dir: str | None) -> None:
    """Copy a run's final folder to where it is wanted; what is there already stays.

    Raises:
        StorageError: it cannot be written; final/ itself is as it was.
    """
    if final_dir is None:
        return
    folder = Path(final_dir).resolve()  # a link leads there, and stays
    names = (*read_manifest(final)["files"], MANIFEST)
    if not _is_there(final, folder, names):
        make_folder(folder)
        kept = (path for path in folder.iterdir() if path.name.startswith(_OLD))
        old = set[str]().union(*(_names(_stated(place)) for place in (folder, *kept)))
        if MANIFEST not in _files_in(folder) or not _swap(final, folder, names, old):
            _fill(final, folder, names, old)
    _sweep(folder)
    _log.info("the result is in %s too", final_dir)


def _swap(final: Path, folder: Path, names: Sequence[str], old: set[str]) -> bool:
    """Replace the folder by one with the new files; False where that cannot be."""
    with storage_errors(folder):
        if {path.name for path in folder.iterdir()} - old:  # it would go with the folder
            return False
    try:
        with received_folder(folder) as temporary:
            _copy(final, temporary, names)
    except StorageError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _A_MOUNT:
            return False
        raise
    return True


def _fill(final: Path, folder: Path, names: Sequence[str], old: set[str]) -> None:
    """Put the new files in the place of the old ones, which are kept until all are there."""
    number = secrets.token_hex(4)
    new, aside = folder / f"{_NEW}{number}", folder / f"{_OLD}{number}"
    make_folder(new)
    _copy(final, new, names)
    make_folder(aside)
    for name in sorted(old, key=lambda name: (name != MANIFEST, name)):  # what vouches goes first
        if (folder / name).is_file():
            rename(folder / name, aside / name)
    for name in names:
        rename(new / name, folder / name)


def _copy(final: Path, folder: Path, names: Sequence[str]) -> None:
    for name in names:
        with storage_errors(final / name):
            content = (final / name).read_bytes()
        write_bytes(folder / name, content)


def _sweep(folder: Path) -> None:
    """Delete what an earlier or this delivery leaves, now that the result is there."""
    name = f"{glob.escape(folder.name)}-????????"
    old = f"{REPLACED}{name}"
    beside = (f"{TEMPORARY}{name}", old, f"{TEMPORARY}{old}-????????")
    inside = (f"{TEMPORARY}*", f"{_OLD}????????")
    with storage_errors(folder):
        leftovers = [path for pattern in inside for path in folder.glob(pattern)]
        leftovers += [path for pattern in beside for path in folder.parent.glob(pattern)]
    for leftover in leftovers:
        with suppress(ForbiddenError):  # another user's: in nobody's way
            remove(leftover)


def _files_in(folder: Path) -> set[str]:
    with storage_errors(folder):
        names = {path.name for path in folder.iterdir() if path.is_file()}
    return {name for name in names if not name.startswith(".")}


def _was_interrupted(folder: Path) -> bool:
    """Tell whether what lies there is half of a copy of ours: no manifest, and its traces."""
    with storage_errors(folder):
        return not (folder / MANIFEST).exists() and any(folder.glob(f"{_NEW}*"))


def _is_there(final: Path, folder: Path, names: Sequence[str]) -> bool:
    with storage_errors(folder):
        return all(
            (folder / name).is_file() and sha256_file(folder / name) == sha256_file(final / name)
            for name in names
        )


def _stated(folder: Path) -> dict[str, Any]:
    """Return what a result's manifest states, {} if it is no result of ours."""
    file = folder / MANIFEST
    try:
        manifest: Any = json.loads(file.read_bytes()) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    match manifest:
        case {"inputs": dict()}:
            return dict(manifest)
    return {}


def _names(stated: dict[str, Any]) -> set[str]:
    """Return the files that a result has by its manifest: names in the folder, and no paths."""
    files = stated.get("files")
    names = {MANIFEST, *(files if isinstance(files, dict) else ())}
    return {name for name in names if "/" not in name and not name.startswith(".")}
