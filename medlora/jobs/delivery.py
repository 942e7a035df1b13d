"""The result where a platform, or a person, wants a copy of it: `training.final_dir`.

Such a folder is often a mount, which nothing can be renamed to.  So the files are written one by
one, the manifest last: a result is there when its manifest is there and right.
"""

import json
from pathlib import Path
from typing import Any

from medlora.checkpoint.store import MANIFEST, read_manifest
from medlora.errors import ConfigError
from medlora.files import TEMPORARY, make_folder, remove, sha256_file, storage_errors, write_bytes
from medlora.jobs.inputs import Inputs
from medlora.logs import logger
from medlora.report.fingerprint import differences

_log = logger(__name__)


def check_output(final_dir: str | None, run: Path, inputs: Inputs) -> None:
    """Refuse, before anything is trained, a folder that the result cannot go to.

    Empty, or with a result of the same inputs, it is fit; names that begin with a dot and folders
    do not count.

    Args:
        final_dir: `training.final_dir`.
        run: the run's own folder.
        inputs: what the result will be made of.

    Raises:
        ConfigError: it is the run's own, or holds something else.
        StorageError: it cannot be made or written.
    """
    if final_dir is None:
        return
    folder = Path(final_dir)
    if folder.resolve().is_relative_to(run.resolve()):
        raise ConfigError(
            f"training.final_dir: {folder} is inside of the run's own folder",
            fix="name another one, or none: the result is in final/ anyway",
        )
    make_folder(folder)
    with storage_errors(folder):
        names = {path.name for path in folder.iterdir() if path.is_file()}
    others = {name for name in names if not name.startswith(".")}
    stated = _stated(folder) if MANIFEST in others else {}
    if others and (not stated or differences(stated, inputs.facts["inputs"])):
        what = "the result of other inputs" if stated else f"{len(others)} files of something else"
        raise ConfigError(
            f"training.final_dir: {folder} holds {what}",
            fix="empty it, or name another folder (MEDLORA_OUTPUT)",
        )


def deliver(final: Path, final_dir: str | None) -> None:
    """Copy a run's final folder to where it is wanted; what is there already stays.

    Raises:
        StorageError: it cannot be written; final/ itself is as it was.
    """
    if final_dir is None:
        return
    folder = Path(final_dir)
    manifest = read_manifest(final)
    if not _is_there(final, folder, manifest["files"]):
        make_folder(folder)
        for leftover in (*folder.glob(f"{TEMPORARY}*"), folder / MANIFEST):
            if leftover.exists():
                remove(leftover)
        for name in (*manifest["files"], MANIFEST):
            with storage_errors(final / name):
                content = (final / name).read_bytes()
            write_bytes(folder / name, content)
    _log.info("the result is in %s too", folder)


def _is_there(final: Path, folder: Path, digests: dict[str, str]) -> bool:
    expected = {**digests, MANIFEST: sha256_file(final / MANIFEST)}
    with storage_errors(folder):
        return all(
            (folder / name).is_file() and sha256_file(folder / name) == digest
            for name, digest in expected.items()
        )


def _stated(folder: Path) -> dict[str, Any]:
    """Return the inputs that a result's manifest states, {} if it is no result of ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        stated = manifest["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return stated if isinstance(stated, dict) else {}
