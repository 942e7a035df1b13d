"""What can be refused at once: a part that is not there, a folder that cannot be written.

Nothing here imports torch, which takes seconds; whoever does the work looks again, and closer.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medlora.checkpoint.names import FINAL
from medlora.data.data_files import locate
from medlora.errors import ConfigError, MissingPartError, StorageError
from medlora.model.folder import check_base_folder, find_base
from medlora.plan.resolve_run import Plan

LATEST = "latest"  # beside the runs: leads to the one that got its result last
_LEAST_FREE = 1 << 20  # bytes: not even a manifest and a log would fit


def look_at_once(plan: Plan) -> None:
    """Refuse a run that lacks a base, data, or a folder for its checkpoints.

    Raises:
        ConfigError: the run has the name of the link to the latest one.
        MissingPartError: a part is not there, or the base's folder is not to be trusted.
        StorageError: a folder cannot be written, or its disk is full.
    """
    check_base_folder(look_for_base(plan))
    locate(plan.resolved.config.data, mount=plan.mount("data"))
    refuse_volatile(plan)
    look_for_run(plan)
    for problem in unwritable(plan):
        raise problem
    _refuse_full(plan)


def look_for_base(plan: Plan) -> Path:
    """Return the folder of the base model.

    Raises:
        MissingPartError: there is none, or several could be meant.
    """
    mount = plan.mount("model")
    return find_base(plan.resolved.config.model.base_model_name or str(mount), mount=mount)


def look_for_run(plan: Plan) -> Path:
    """Return the run's folder, which need not be there yet.

    Raises:
        ConfigError: its name is that of the link to the latest run.
        StorageError: something else has its name.
    """
    folder = plan.resolved.config.run_dir
    if folder.name == LATEST and (folder.is_symlink() or folder.is_file()):
        raise ConfigError(
            f"run_name: {folder} is the link to the run that finished last",
            fix="choose another run_name",
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise StorageError(
            f"{folder}: is not a folder", fix="choose another run_name, or move it away"
        )
    return folder


def refuse_volatile(plan: Plan) -> None:
    """Refuse to write a result that nobody would find again.

    Raises:
        MissingPartError: the folder for checkpoints is the image's own.
    """
    if plan.volatile_output and not plan.demo:
        raise MissingPartError(
            f"{plan.resolved.config.training.output_dir} is not mounted: the result would vanish "
            "with the container",
            fix="mount a folder there (-v /path:/checkpoints) or set MEDLORA_CHECKPOINTS",
        )


def folders(plan: Plan) -> dict[str, Path]:
    """Return the folders that a run writes to, by what they are for."""
    cfg = plan.resolved.config.training
    named = {"checkpoints": Path(cfg.output_dir), "temporary": Path(tempfile.gettempdir())}
    named |= {"output": Path(cfg.final_dir)} if cfg.final_dir else {}
    if cfg.logging_dir and cfg.report_to:
        named["logs"] = Path(cfg.logging_dir) / plan.resolved.config.run_name
    cache = plan.resolved.config.data.cache_dir
    return named | ({"cache": Path(cache)} if cache else {})


def unwritable(plan: Plan) -> Iterator[StorageError]:
    """Yield what to say of each folder that cannot be written."""
    reported: set[Path] = set()
    for name, folder in folders(plan).items():
        there = nearest(folder)
        if not there.is_dir():
            yield StorageError(
                f"{there} ({name}): is not a folder", fix="name another folder, or move it away"
            )
        elif not can_write(there) and there not in reported:
            reported.add(there)
            yield StorageError(
                f"{folder} ({name}) cannot be written",
                fix=f"let uid {os.getuid()} or its group write {there}, or mount another",
            )


def can_write(folder: Path) -> bool:
    """Tell whether this user may make files in a folder."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def nearest(folder: Path) -> Path:
    """Return the folder, or the one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _refuse_full(plan: Plan) -> None:
    cfg = plan.resolved.config
    output = Path(cfg.training.output_dir)
    free = shutil.disk_usage(nearest(output)).free
    if free < _LEAST_FREE and not (cfg.run_dir / FINAL).exists():
        raise StorageError(
            f"{output} has only {free:,} bytes free", fix="make room, or mount a larger disk"
        )
