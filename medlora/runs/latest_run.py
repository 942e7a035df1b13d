"""What a run that is started every night leaves tidy: which is the latest, how many stay."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medlora.checkpoint.beyond_digests import is_proven
from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.names import FINAL, is_ours
from medlora.errors import MedloraError
from medlora.files import (
    LOCK,
    MANIFEST,
    REPLACED,
    TEMPORARY,
    DamagedError,
    make_link,
    read_stated,
    remove,
    storage_errors,
    write_bytes,
)
from medlora.logs import logger
from medlora.plan.quick_checks import LATEST
from medlora.plan.resolve_run import Plan
from medlora.report.facts import REPRODUCED
from medlora.runs.folder import old_runs
from medlora.runs.written import RECORD
from medlora.runtime import platform_named

_log = logger(__name__)
# What a run writes beside the folders that have a manifest; a tracker's folders among it, and what
# was set aside or broken off.
_LOOSE = re.compile(
    r"metrics\.jsonl|data_audit\.json|report\.html|training_curves\.png|memory-audit\.json|card"
    r"|tensorboard|wandb|broken-.+-\d+|"
    rf"(?:{re.escape(TEMPORARY)}|{re.escape(REPLACED)})(?:.+-)?[0-9a-f]{{8}}|"
    + "|".join(map(re.escape, (RECORD, LOCK)))
)


def point_to_latest(plan: Plan) -> None:
    """Have `latest` in the folder of runs lead to this run, unless another one ended later.

    It is a link, or a file that holds the run's name where there are no links.  What has that
    name and is neither stays.
    """
    cfg = plan.resolved.config
    if cfg.run_name.endswith(REPRODUCED):  # it goes as soon as it was compared
        return
    place = Path(cfg.training.output_dir) / LATEST
    service = platform_named(plan.job.get("platform"))
    try:
        with storage_errors(place):
            _point(place, cfg.run_name, links=not (service and service.copied_to))
    except MedloraError as error:  # a result is not lost for want of it
        _log.warning("%s could not be pointed to %s: %s", place, cfg.run_name, error.headline)


def _point(place: Path, name: str, *, links: bool) -> None:
    target = _target(place)
    if target is None and (place.is_symlink() or place.exists()):
        _log.info("%s was not written by MedLoRA and is left as it is", place)
        return
    moment = _ended(place.with_name(name))
    if target == name or (target and moment < _ended(place.with_name(target))):
        return
    if not links or not make_link(place, name):
        write_bytes(place, name.encode() + b"\n")


def _target(place: Path) -> str | None:
    """Return the name that a link, or a file of ours, leads to; None for anything else."""
    if place.is_symlink():
        name = str(place.readlink())
    elif place.is_file():
        with place.open("rb") as file:
            name = file.read(200).decode("ascii", errors="replace").removesuffix("\n")
    else:
        return None
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) else None


def _ended(run: Path) -> str:
    """Return the moment at which a run got its result, "" where it has none."""
    return str(_stated(run / FINAL).get("finished", ""))


def delete_old_runs(run: Path, *, keep: int | None) -> None:
    """Delete what was set aside of a run, but for the latest; what is no run of ours stays.

    Args:
        run: its folder.
        keep: how many stay; None for all.
    """
    if keep is None:
        return
    old_folders = old_runs(run)
    for number in sorted(old_folders, reverse=True)[keep:]:
        old = old_folders[number]
        try:
            with storage_errors(old):
                stays = next(_foreign(old, run.name), None)
            if stays is None:
                _delete(old)
        except MedloraError as error:
            stays = error.headline
        if stays:
            _log.warning("%s stays: %s", old.name, stays)
        else:
            _log.info("%s is deleted: training.keep_old_runs is %d", old.name, keep)


def _delete(old: Path) -> None:
    """Delete a folder that nobody is using, and what killed starts left of those before it."""
    name = re.escape(old.name.rpartition("-")[0])
    half = re.compile(rf"{re.escape(TEMPORARY)}{name}-\d+-[0-9a-f]{{8}}")
    with only_writer(old):
        for leftover in old.parent.iterdir():
            if half.fullmatch(leftover.name):
                remove(leftover)
        remove(old)


def _foreign(old: Path, run_name: str) -> Iterator[str]:
    """Yield why a folder is not, as a whole, what this run left."""
    if old.is_symlink() or not old.is_dir():
        yield "it is no folder"
        return
    for path in sorted(old.iterdir()):
        if is_ours(path.name):
            if not is_proven(path):
                yield f"{path.name} in it is not as it was written"
        elif not _LOOSE.fullmatch(path.name):
            yield f"{path.name} in it is not the run's"
    stated = {_stated(path).get("run_name") for path in old.iterdir() if is_ours(path.name)}
    if stated != {run_name}:
        yield f"nothing in it says that it is of {run_name}"


def _stated(folder: Path) -> dict[str, Any]:
    try:
        return read_stated(folder / MANIFEST)
    except DamagedError:
        return {}
