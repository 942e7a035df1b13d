"""A run's folder: made, set aside, and never taken for that of another run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.store import DamagedError, read_manifest
from medlora.errors import ConfigError, MissingPartError
from medlora.files import make_folder, rename
from medlora.jobs.inputs import Inputs
from medlora.jobs.settings import Plan
from medlora.logs import logger
from medlora.report.fingerprint import differences

_log = logger(__name__)
_OTHER_NAME = "choose another run_name, or set the folder aside with --fresh"


def run_folder(plan: Plan) -> Path:
    """Make the run's folder and return it.

    Raises:
        MissingPartError: it would vanish with the container.
        StorageError: it cannot be made or written.
    """
    cfg = plan.resolved.config
    if plan.volatile_output and not plan.demo:
        raise MissingPartError(
            f"{cfg.training.output_dir} is not mounted: the result would vanish with the container",
            fix="mount a folder there (-v /path:/checkpoints) or set MEDLORA_CHECKPOINTS",
        )
    folder = Path(cfg.training.output_dir) / cfg.run_name
    make_folder(folder)
    return folder


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
    except DamagedError as error:
        raise ConfigError(f"{final} is damaged: {error}", fix=_OTHER_NAME) from None
    _refuse_changes(str(final), differences(manifest.get("inputs", {}), inputs.facts["inputs"]))


def _refuse_changes(what: str, changes: list[str]) -> None:
    if changes:
        lines = "".join(f"\n  {change}" for change in changes)
        raise ConfigError(f"{what} was made with other inputs:{lines}", fix=_OTHER_NAME)


def change_checker(inputs: Inputs, allow: tuple[str, ...]) -> Callable[[dict[str, Any]], None]:
    """Return a function that refuses a checkpoint of other inputs, field by field."""

    def check(manifest: dict[str, Any]) -> None:
        stated, present = manifest.get("inputs", {}), inputs.facts["inputs"]
        accepted = set(differences(stated, present)) - set(
            differences(stated, present, ignore=allow)
        )
        for change in sorted(accepted):
            _log.warning("allowed: %s", change)
        changes = differences(stated, present, ignore=allow)
        if changes:
            lines = "".join(f"\n  {change}" for change in changes)
            raise ConfigError(
                f"the run's checkpoints were made with other inputs:{lines}",
                fix="undo the change, accept it with --allow-change NAME, "
                "choose another run_name, or start over with --fresh",
            )

    return check
