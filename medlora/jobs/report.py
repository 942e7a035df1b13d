"""`medlora report`: report.html of a run, or of several side by side; trains nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medlora.errors import IntegrityError
from medlora.files import make_folder, write_bytes
from medlora.jobs.card import read_evaluation
from medlora.logs import show
from medlora.model.file_names import WEIGHTS
from medlora.report.page.render import PAGE, page
from medlora.report.page.run_facts import Run
from medlora.runs.finished import home_of
from medlora.runs.page import read_run


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What the command line asks for."""

    evaluations: tuple[Path, ...] = ()
    output: Path | None = None


def run(folders: Sequence[Path], options: ReportOptions) -> None:
    """Write the page and say where it is.

    Args:
        folders: of runs; each may be the run's own, or its final/ or rejected/.
        options: what else to show, and where to write.

    Raises:
        MissingPartError: there is no run.
        IntegrityError: a run is damaged, or an evaluation is of no adapter among them.
        DataError: an evaluation or a memory audit cannot be used.
        StorageError: the page cannot be written.
    """
    runs = _labelled([read_run(folder) for folder in folders])
    for file in options.evaluations:
        runs = _with_evaluation(runs, file)
    output = options.output
    if output is None:
        output = home_of(folders[0]) / PAGE if len(runs) == 1 else Path(PAGE)
    make_folder(output.parent)
    write_bytes(output, page(runs))
    show(f"report: {output}")


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
            f"{file} reports on another adapter: SHA-256 {json.dumps(adapter)}",
            fix="evaluate the adapter of one of these runs",
        )
    return [
        Run(run.label, run.manifest, run.metrics, [*run.evaluations, report], run.memory)
        if run.adapter == adapter
        else run
        for run in runs
    ]
