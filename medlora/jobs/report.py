"""`medlora report`: report.html of a run, or of several side by side; trains nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlora.checkpoint.proof import prove
from medlora.checkpoint.store import DamagedError
from medlora.errors import DataError, IntegrityError, MissingPartError
from medlora.files import make_folder, storage_errors, write_bytes
from medlora.jobs.card import read_evaluation
from medlora.logs import logger, show
from medlora.model.names import WEIGHTS
from medlora.report.evidence import Document, document
from medlora.report.history import METRICS, PRIVATE, releasable
from medlora.report.page.render import PAGE, page
from medlora.report.page.run import Run
from medlora.runs.cards import EVALUATION, MEMORY
from medlora.runs.finished import final_of, finished_manifest

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for."""

    evaluations: tuple[Path, ...] = ()
    output: Path | None = None


def run(folders: Sequence[Path], wishes: Wishes) -> None:
    """Write the page and say where it is.

    Args:
        folders: of runs; each may be the run's own, or its final/ or rejected/.
        wishes: what else to show, and where to write.

    Raises:
        MissingPartError: there is no run.
        IntegrityError: a run is damaged, or an evaluation is of no adapter among them.
        DataError: an evaluation or a memory audit cannot be used.
        StorageError: the page cannot be written.
    """
    runs = _labelled([_read(folder) for folder in folders])
    for file in wishes.evaluations:
        runs = _with_evaluation(runs, file)
    output = wishes.output
    if output is None:
        output = _home(folders[0]) / PAGE if len(runs) == 1 else Path(PAGE)
    make_folder(output.parent)
    write_bytes(output, page(runs))
    show(f"report: {output}")


def leave(folder: Path) -> None:
    """Write the page of a run that has ended into its folder."""
    write_bytes(folder / PAGE, page([_read(folder)]))
    _log.info("report: %s", folder / PAGE)


def is_left(folder: Path) -> bool:
    """Tell whether the page is there."""
    return (folder / PAGE).exists()


def _read(folder: Path) -> Run:
    """Return a run: finished, or as far as its newest checkpoint."""
    final = final_of(folder)
    place, manifest = (
        (final, finished_manifest(final)) if final.is_dir() else _newest_checkpoint(folder)
    )
    metrics = (place / METRICS).read_bytes() if METRICS in manifest["files"] else b""
    if manifest.get(PRIVATE):  # what a private run may show of its steps is nothing
        metrics = releasable(metrics)
    own = place / EVALUATION
    reports = [document(EVALUATION, own.read_bytes())] if EVALUATION in manifest["files"] else []
    memory = _memory(_home(place), manifest["files"][WEIGHTS])
    return Run(str(manifest["run_name"]), manifest, metrics, reports, memory)


def _home(folder: Path) -> Path:
    """Return a run's own folder: the one that final/, rejected/ or a checkpoint is in."""
    return folder.resolve().parent if (folder / WEIGHTS).exists() else folder


def _newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the checkpoint of the highest step that is whole.

    Raises:
        MissingPartError: there is none.
    """
    found = []
    with storage_errors(folder):
        places = [*folder.glob("step_*"), *folder.glob("epoch_*")] if folder.is_dir() else []
    for place in places:
        try:
            manifest = prove(place)
        except DamagedError:
            continue  # `medlora verify` says so, and the run itself sets it aside
        found.append((int(manifest.get("step", 0)), str(place), place, manifest))
    if not found:
        raise MissingPartError(
            f"{folder}: neither a finished run nor a checkpoint that is whole",
            fix="name a run's folder, e.g. checkpoints/run",
        )
    _, _, place, manifest = max(found, key=lambda one: one[:2])
    return place, manifest


def _memory(home: Path, adapter: str) -> Document | None:
    """Return what `medlora audit-memory measure` wrote of this adapter, if it did.

    Raises:
        DataError: it is no report.
    """
    file = home / MEMORY
    if not file.is_file():
        return None
    with storage_errors(file):
        found = document(MEMORY, file.read_bytes())
    if not isinstance(found.at("/extraction"), dict):
        raise DataError(f"{file}: no report of a memory audit", fix="measure again, or delete it")
    if found.at("/adapter_sha256") != adapter:
        _log.warning("%s is about another adapter: it is left out", file)
        return None
    return found


def _labelled(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with labels of their own; those that share a name are numbered."""
    names = [run.label for run in runs]
    labels = [
        f"{name} ({names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]
    return [
        Run(label, run.manifest, run.metrics, run.evaluations, run.memory)
        for label, run in zip(labels, runs, strict=True)
    ]


def _with_evaluation(runs: Sequence[Run], file: Path) -> list[Run]:
    """Return the runs, that of the evaluation's adapter with it.

    Raises:
        IntegrityError: no run has that adapter.
    """
    report = read_evaluation(file)
    adapter = report.at(f"/adapter/files/{WEIGHTS}")
    if adapter not in {run.adapter for run in runs}:
        raise IntegrityError(
            f"{file} is about another adapter: SHA-256 {json.dumps(adapter)}",
            fix="evaluate the adapter of one of these runs",
        )
    return [
        Run(run.label, run.manifest, run.metrics, [*run.evaluations, report], run.memory)
        if run.adapter == adapter
        else run
        for run in runs
    ]
