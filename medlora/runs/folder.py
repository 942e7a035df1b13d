"""A run's folder: made, set aside, and never taken for that of another run."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from medlora.checkpoint.beyond_digests import prove
from medlora.checkpoint.names import ENDS
from medlora.checkpoint.resume import set_aside as put_aside
from medlora.checkpoint.schema import Manifest
from medlora.errors import ConfigError, StorageError, below
from medlora.files import LOCK, DamagedError, UnreadableError, make_folder, rename
from medlora.logs import logger
from medlora.plan.quick_checks import look_for_run, refuse_volatile
from medlora.plan.resolve_run import Plan
from medlora.report.fingerprint import Inputs, changed_names, differences
from medlora.report.manifest_schema import RunFacts, RunManifest, as_run
from medlora.report.run_manifest import software
from medlora.runs import written
from medlora.runs.lost_files import check_recoverable
from medlora.storage.location import is_location

_log = logger(__name__)
GATE = "gate"  # names below it decide what an adapter may be called, not what it is
_OTHER_NAME = "choose another run_name, or set the folder aside with --fresh"


def run_folder(plan: Plan) -> Path:
    """Make the run's folder and return it.

    Raises:
        ConfigError: its name is that of the link to the latest run.
        MissingPartError: it would vanish with the container.
        StorageError: it cannot be made or written.
    """
    refuse_volatile(plan)
    folder = look_for_run(plan)
    make_folder(folder)
    return folder


def check_local(folder: str) -> None:
    """Refuse a URL as the folder of runs where nobody copies them there.

    Raises:
        ConfigError: it is one.
    """
    if is_location(folder):
        raise ConfigError(
            "training.output_dir: MedicalLoRATrainer takes only a local folder",
            fix="use `medlora train` to keep runs at a URL",
        )


def set_aside(folder: Path) -> bool:
    """Give the run's folder another name, so that nothing is lost, and make a new one.

    Call it once nothing can refuse the new run any more, and hold the folder's lock.

    Returns:
        Whether there was something; the lock is the old folder's then.
    """
    if all(path.name == LOCK for path in folder.iterdir()):
        return False
    number = max(old_runs(folder), default=0) + 1
    old = folder.with_name(f"{folder.name}.old-{number}")
    rename(folder, old)
    _log.info("the previous run was moved to %s", old)
    make_folder(folder)
    return True


def old_runs(folder: Path) -> dict[int, Path]:
    """Return what was set aside of this run, by its number; the highest is the latest."""
    pattern = re.compile(re.escape(folder.name) + r"\.old-([1-9]\d*)")
    named = ((pattern.fullmatch(path.name), path) for path in folder.parent.iterdir())
    return {int(match[1]): path for match, path in named if match}


def reopen(run: Path) -> None:
    """Prepare a run's folder for going on: what has to be rebuilt is set aside, and said.

    Raises:
        StorageError: the folder cannot be written.
    """
    if written.is_left(run) and not any(os.path.lexists(run / name) for name in ENDS):
        _log.warning("the result of %s is missing; it is rebuilt", run.name)
    for name in ENDS:
        problem = _problem(run / name)
        if problem:
            where = put_aside(run / name)
            _log.warning("%s/ is damaged %s: %s; it is rebuilt", name, where, problem)
    written.forget(run)


def _problem(folder: Path) -> str | None:
    if not os.path.lexists(folder):
        return None
    try:
        prove(folder)
    except DamagedError as error:
        return str(error)
    return None


def check_finished(final: Path, inputs: Inputs) -> bool:
    """Tell whether a result is this run's; a damaged one is not if it can be made anew.

    Raises:
        ConfigError: it is another run's.
        IntegrityError: it is damaged, and so is every checkpoint beside it.
        StorageError: it cannot be read.
    """
    manifest = read_end(final)
    if manifest is None:
        return False
    changes = differences(manifest.get("inputs", {}), inputs.facts["inputs"])
    _refuse(changes, f"{final} was made with other inputs", fix=_OTHER_NAME)
    return True


def read_end(end: Path) -> RunManifest | None:
    """Return the manifest of a result; None where it is damaged and can be made anew.

    Raises:
        IntegrityError: it is damaged, and so is every checkpoint beside it.
        StorageError: it cannot be read.
    """
    try:
        return as_run(prove(end))
    except UnreadableError as error:
        fix = f"make it readable for uid {os.getuid()}, or {_OTHER_NAME}"
        raise StorageError(f"{end} cannot be read: {error}", fix=fix) from None
    except DamagedError as error:
        check_recoverable(end, error)
        return None


def change_checker(inputs: Inputs, allow: tuple[str, ...]) -> Callable[[Manifest], RunFacts]:
    """Return a function that refuses a checkpoint of other inputs, field by field.

    It returns what later manifests have to state: the changes that were accepted, now or in an
    earlier attempt.
    """

    def check(manifest: Manifest) -> RunFacts:
        then = as_run(manifest)
        stated, present = then.get("inputs", {}), inputs.facts["inputs"]
        _refuse(
            differences(stated, present, ignore=(*allow, GATE)),
            "the run's checkpoints were made with other inputs",
            fix="undo the change, accept it with --allow-change NAME, "
            "choose another run_name, or start over with --fresh",
        )
        note_other_software(then)
        for line in differences(stated, present, ignore=(GATE,)):
            _log.warning("allowed: %s", line)
        changed = changed_names(stated, present, ignore=(GATE,))
        accepted = {*then.get("allowed_changes", []), *changed}
        return {"allowed_changes": sorted(accepted)}

    return check


def note_other_software(manifest: RunManifest) -> None:
    """Say which versions are not those that a manifest states: the bits need the same."""
    then = manifest.get("software", {})
    for name, version in software().items():
        if then.get(name) != version:
            _log.warning(
                "%s is %s here and %s in the run's manifest: the adapter may not be bit-identical",
                name,
                version,
                then.get(name),
            )


def _refuse(changes: list[str], what: str, *, fix: str) -> None:
    if changes:
        raise ConfigError(below(f"{what}:", changes), fix=fix)
