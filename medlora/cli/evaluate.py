"""Commands that measure: evaluate, audit-memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medlora.cli import options
from medlora.cli.fetched_inputs import prepared
from medlora.cli.group import cli

if TYPE_CHECKING:
    from medlora.config import Resolved


@cli.command(
    fetches=True, computes=True, short_help="Evaluate a base model, with and without an adapter."
)
@options.BASE
@click.option(
    "--adapter",
    metavar="FOLDER",
    type=options.PATH,
    help="Adapter to compare with its base: a run's folder, or a folder saved by PEFT.",
)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME|FILE",
    help="A JSON Lines file, or the name of a built-in suite; may be repeated.",
)
@options.config("Run config whose gate (release thresholds) is applied.")
@options.overrides()
@options.output_file("Write the report as JSON.")
@click.option(
    "--generations",
    metavar="FILE",
    type=options.PATH,
    help="Write prompts and answers as JSON Lines; they are written nowhere else.",
)
@options.batch_size()
@options.max_new_tokens()
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), help="Use only the first N rows of each suite."
)
def evaluate(
    *,
    model: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    **chosen: Any,  # noqa: ANN401  (click's options, typed in EvaluateOptions)
) -> None:
    """Evaluate a base model on test suites, and how an adapter changes its results.

    Exits with 77 if the config has a gate (release thresholds) and its verdict is not PASS.
    """
    from medlora.inputs.suites import choose_suites
    from medlora.plan.gpu_check import check_gpu
    from medlora.plan.quick_checks import look_for_base
    from medlora.plan.resolve_run import Options
    from medlora.runtime import snapshot

    environment = snapshot()

    def refuse(resolved: "Resolved") -> None:
        check_gpu(environment, resolved.config)

    given = Options(config=config, model=model, overrides=overrides)
    with prepared(given, environment, allow_demo=False, refuse=refuse) as plan:
        choose_suites(plan.resolved.config.gate, chosen["suites"])  # or an error, before torch
        look_for_base(plan)

        from medlora.jobs import evaluate as job

        job.run(plan, job.EvaluateOptions(**chosen))


@cli.group("audit-memory", short_help="Measure what an adapter has memorised.")
def audit_memory() -> None:
    """Measure what an adapter has memorised: planted canaries, and rows of its training data.

    `plant` inserts canaries (made-up secrets) into a copy of the data.  Train on the copy, then
    run `measure` to get their exposure.  With or without canaries, `measure` tests whether the
    model continues training rows verbatim.
    """


@audit_memory.command(computes=True, short_help="Copy the data with canaries inserted.")
@click.argument("out", type=options.PATH)
@options.config("Run config (YAML): the data section.")
@click.option(
    "--data",
    metavar="PATH",
    help="Folder with train.csv (or .jsonl, .json, .parquet), or one file.",
)
@options.overrides()
@click.option(
    "--copies",
    type=click.IntRange(0),
    multiple=True,
    default=(0, 1, 4, 16),
    help="Number of rows that each canary is put into; may be repeated for several numbers.  0: "
    "control canaries, which are put into no row.",
)
@click.option(
    "--each",
    type=click.IntRange(1),
    help="Canaries for each value of --copies.  [default: as many as fit, 8 at most]",
)
@click.option("--seed", type=options.SEED, default=0, help="Seed for choosing canaries and rows.")
def plant(
    out: Path,
    *,
    copies: tuple[int, ...],
    each: int | None,
    seed: int,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Write a copy of the data with canaries to the new folder OUT; the data itself is not changed.

    A canary is "Patient MRN is <8 digits>." at the beginning of an answer.  `medlora train` takes
    it for an identifier: train on the copy with --set data.privacy=warn.
    """
    from medlora.jobs import plant as job
    from medlora.plan.resolve_run import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(**chosen), snapshot(), allow_demo=False)
    job.run(plan, out, copies=copies, each=each, seed=seed)


@audit_memory.command(computes=True, short_help="Measure what a finished run has memorised.")
@options.RUN
@click.option(
    "--canaries",
    type=options.PATH,
    help="File written by `plant`.  [default: canaries.json beside the training file, if any]",
)
@options.moved_inputs
@click.option("--rows", type=click.IntRange(0), default=200, help="Training rows to sample.")
@click.option(
    "--prefix",
    type=click.IntRange(0),
    default=16,
    help="First tokens of each answer, which the model is given.",
)
@click.option(
    "--match",
    type=click.IntRange(1),
    default=32,
    help="Next tokens that it must get verbatim for the row to count as memorised.",
)
@click.option(
    "--decoys",
    type=click.IntRange(1),
    default=1000,
    help="Random secrets that each canary is ranked among.",
)
@options.batch_size(16)
@click.option("--seed", type=options.SEED, default=0, help="Seed for sampling rows.")
@click.option(
    "--out",
    type=options.PATH,
    help="File to write.  [default: memory-audit.json in the run's folder]",
)
def measure(
    run: Path,
    *,
    canaries: Path | None,
    data: str | None,
    model: str | None,
    out: Path | None,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Measure what RUN's adapter has memorised, compared with its base model.

    Prints a table and writes a JSON report, which has numbers and no text of any row.
    """
    from medlora.plan.gpu_check import check_gpu
    from medlora.runtime import snapshot

    check_gpu(snapshot())

    from medlora.jobs import audit_memory as job

    settings = job.Settings(**chosen)
    job.run(run, settings, canaries=canaries, data=data, model=model, out=out)
