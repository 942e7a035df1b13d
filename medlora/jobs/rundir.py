"""A run's folder: made, set aside, and never taken for that of another run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.store import DamagedError, UnreadableError, read_manifest
from medlora.errors import ConfigError, StorageError, below
from medlora.files import make_folder, rename
from medlora.jobs.early import refuse_volatile
from medlora.jobs.inputs import Inputs
from medlora.jobs.settings import Plan
from medlora.logs import logger
from medlora.report.fingerprint import changed_names, differences
from medlora.report.manifest import software
from medlora.storage.location import is_location

_log = logger(__name__)
GATE = "gate"  # names below it decide what an adapter may be called, not what it is
_OTHER_NAME = "choose another run_name, or set the folder aside with --fresh"


def run_folder(plan: Plan) -> Path:
    """Make the run's folder and return it.

    Raises:
        MissingPartError: it would vanish with the container.
        StorageError: it cannot be made or written.
    """
    cfg = plan.resolved.config
    refuse_volatile(plan)
    folder = Path(cfg.training.output_dir) / cfg.run_name
    make_folder(folder)
    return folder


def check_local(folder: str) -> None:
    """Refuse a URL as the folder of runs where nobody copies them there.

    Raises:
        ConfigError: it is one.
    """
    if is_location(folder):
        raise ConfigError(
            "training.output_dir: must be a folder here",
            fix="give the URL to `medlora train`, which keeps runs there",
        )


def set_aside(folder: Path) -> None:
    """Give the run's folder another name, so that nothing is lost, and make a new one."""
    if any(path.name != ".lock" for path in folder.iterdir()):
        with only_writer(folder):
            number = next(n for n in range(1, 10_000) if not _old_name(folder, n).exists())
            rename(folder, _old_name(folder, number))
        _log.info("what was there is now %s", _old_name(folder, number))
        make_folder(folder)


def _old_name(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.old-{number}")


def check_finished(final: Path, inputs: Inputs) -> None:
    """Refuse to take another run's result, or a damaged one, for this run's."""
    try:
        manifest = read_manifest(final)
    except UnreadableError as error:
        fix = f"make it readable for uid {os.getuid()}, or {_OTHER_NAME}"
        raise StorageError(f"{final} cannot be read: {error}", fix=fix) from None
    except DamagedError as error:
        raise ConfigError(f"{final} is damaged: {error}", fix=_OTHER_NAME) from None
    changes = differences(manifest.get("inputs", {}), inputs.facts["inputs"])
    _refuse(changes, f"{final} was made with other inputs", fix=_OTHER_NAME)


def change_checker(
    inputs: Inputs, allow: tuple[str, ...]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that refuses a checkpoint of other inputs, field by field.

    It returns what later manifests have to state: the changes that were accepted, now or in an
    earlier attempt.
    """

    def check(manifest: dict[str, Any]) -> dict[str, Any]:
        stated, present = manifest.get("inputs", {}), inputs.facts["inputs"]
        _refuse(
            differences(stated, present, ignore=(*allow, GATE)),
            "the run's checkpoints were made with other inputs",
            fix="undo the change, accept it with --allow-change NAME, "
            "choose another run_name, or start over with --fresh",
        )
        note_other_software(manifest)
        for line in differences(stated, present, ignore=(GATE,)):
            _log.warning("allowed: %s", line)
        changed = changed_names(stated, present, ignore=(GATE,))
        accepted = {*manifest.get("allowed_changes", []), *changed}
        return {"allowed_changes": sorted(accepted)}

    return check


def note_other_software(manifest: dict[str, Any]) -> None:
    """Say which versions are not those that a manifest states: the bits need the same."""
    then = manifest.get("software", {})
    for name, version in software().items():
        if then.get(name) != version:
            _log.warning("%s is %s, it was %s: the bits may differ", name, version, then.get(name))


def _refuse(changes: list[str], what: str, *, fix: str) -> None:
    if changes:
        raise ConfigError(below(f"{what}:", changes), fix=fix)
