"""The page of a run, and what of the run's folder it is made from."""

from pathlib import Path

from medlora.checkpoint.resume import newest_proven
from medlora.errors import DataError, MissingPartError
from medlora.files import storage_errors, write_bytes
from medlora.logs import logger
from medlora.model.file_names import WEIGHTS
from medlora.report.manifest_schema import RunManifest, as_run
from medlora.report.metrics_jsonl import METRICS, PRIVATE, releasable
from medlora.report.page.render import PAGE, page
from medlora.report.page.run_facts import Run
from medlora.report.sourced_numbers import Document, document
from medlora.runs.cards import MEMORY, gate_reports
from medlora.runs.finished import final_of, finished_manifest, home_of

_log = logger(__name__)


def leave(folder: Path) -> None:
    """Write the page of a run that has ended into its folder."""
    write_bytes(folder / PAGE, page([read_run(folder)]))
    _log.info("report: %s", folder / PAGE)


def is_left(folder: Path) -> bool:
    """Tell whether the page is there."""
    return (folder / PAGE).exists()


def read_run(folder: Path) -> Run:
    """Return a run: finished, or as far as its newest checkpoint.

    Raises:
        MissingPartError: there is no run.
        IntegrityError: it is damaged.
        DataError: its memory audit cannot be used.
    """
    final = final_of(folder)
    place, manifest = (
        (final, finished_manifest(final)) if final.is_dir() else _newest_checkpoint(folder)
    )
    metrics = (place / METRICS).read_bytes() if METRICS in manifest["files"] else b""
    if manifest.get(PRIVATE):  # what a private run may show of its steps is nothing
        metrics = releasable(metrics)
    reports = gate_reports(place, manifest["files"])
    memory = _memory(home_of(place), manifest["files"][WEIGHTS])
    return Run(str(manifest["run_name"]), manifest, metrics, reports, memory)


def _newest_checkpoint(folder: Path) -> tuple[Path, RunManifest]:
    """Return the checkpoint of the highest step that is whole.

    Raises:
        MissingPartError: there is none.
    """
    with storage_errors(folder):
        newest = newest_proven(folder)
    if newest is None:
        raise MissingPartError(
            f"{folder}: neither a finished run nor a checkpoint that is whole",
            fix="name a run's folder, e.g. checkpoints/run",
        )
    place, manifest = newest
    return place, as_run(manifest)


def _memory(home: Path, adapter: str) -> Document | None:
    """Return what `medlora audit-memory measure` wrote of this adapter, if it did.

    Raises:
        DataError: it is no report.
    """
    file = home / MEMORY
    if not file.is_file():
        return None
    with storage_errors(file):
        report = document(MEMORY, file.read_bytes())
    if not isinstance(report.at("/extraction"), dict):
        raise DataError(
            f"{file}: is not a report of `audit-memory measure`",
            fix="measure again, or delete this file",
        )
    if report.at("/adapter_sha256") != adapter:
        _log.warning("%s is about another adapter: it is left out", file)
        return None
    return report
