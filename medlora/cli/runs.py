"""Commands about runs: verify, reproduce, card, report, diff."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medlora.cli import options
from medlora.cli.group import cli

if TYPE_CHECKING:
    from medlora.runtime import Stop


@cli.command(short_help="Verify every digest of a run.")
@options.RUN
def verify(run: Path) -> None:
    """Verify every file of RUN, or of one checkpoint, against its manifest.

    Exits with 77 if any byte differs from what was written.
    """
    from medlora.jobs import verify as job

    job.run(run)


@cli.command(computes=True, short_help="Repeat a run and compare the adapter's digest.")
@options.RUN
@options.moved_inputs
@click.pass_obj
def reproduce(stop: "Stop", /, *, run: Path, data: str | None, model: str | None) -> None:
    """Repeat the training of RUN from its manifest and compare the SHA-256 of the two adapters.

    It trains in a new folder next to RUN.  If the adapters are the same, the new folder is
    deleted; RUN is never changed.  Exits with 77 if they differ, with 78 if the data or the base
    model are not those that RUN used.
    """
    from medlora.plan.gpu_check import check_gpu
    from medlora.runtime import snapshot

    check_gpu(snapshot())

    from medlora.jobs import reproduce as job

    job.run(run, data=data, model=model, stop=stop)


@cli.command(short_help="Write the model cards of a run.")
@options.RUN
@click.option(
    "--format",
    "form",
    type=click.Choice(["hf", "chai", "all"]),
    default="all",
    help="Hugging Face's README.md, the Applied Model Card's XML, or both.",
)
@options.statements(
    "YAML file with the model-card fields that a person must fill in, e.g. intended_use.  "
    "[default: the statements saved with the run]"
)
@options.EVALUATIONS
@click.option("--strict", is_flag=True, help="Exit with 69 if anything is NOT PROVIDED.")
@click.option(
    "--output",
    metavar="FOLDER",
    type=options.PATH,
    help="Folder to write to.  [default: card in the run's folder]",
)
def card(run: Path, **chosen: Any) -> None:  # noqa: ANN401
    """Write the model cards of RUN from its manifest and the fields that a person filled in.

    Each number names its source file; fields that only a person can fill in say NOT PROVIDED
    until someone does.  `medlora train` leaves the same cards beside the adapter.
    """
    from medlora.jobs import card as job

    job.run(run, job.CardOptions(**chosen))


@cli.command(short_help="Write the HTML report of one run or several.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=options.PATH)
@options.EVALUATIONS
@options.output_file(
    "File to write.  [default: report.html in the run's folder; for several runs, in the "
    "current folder]"
)
def report(runs: tuple[Path, ...], **chosen: Any) -> None:  # noqa: ANN401
    """Write an HTML report of RUN, or of several runs side by side.  The page works offline.

    It shows training curves, evaluations with confidence intervals, safety findings, data audit,
    privacy scan, software and hardware, and no text of a row or an answer.  `medlora train`
    leaves the same page in the run's folder; an unfinished run is shown up to its newest
    checkpoint.
    """
    from medlora.jobs import report as job

    job.run(runs, job.ReportOptions(**chosen))


@cli.command(short_help="Compare two runs.")
@click.argument("run_a", type=options.PATH)
@click.argument("run_b", type=options.PATH)
@options.statements(
    "YAML file with the change-record fields that a person must fill in.  "
    "[default: the statements saved with RUN_B]"
)
@click.option("--json", "as_json", metavar="FILE", type=options.PATH, help="Write JSON.")
@options.output_file("Write a change record as Markdown: modifications, protocol, impact.")
def diff(run_a: Path, run_b: Path, **chosen: Path | None) -> None:
    """Compare two runs: data and base by digest, config, software, metrics, the gate's verdict."""
    from medlora.jobs import diff as job

    job.run(run_a, run_b, **chosen)
