"""Commands about rows, before any training: scan, render."""

from pathlib import Path
from typing import Any

import click

from medlora.cli import options
from medlora.cli.group import cli


@cli.command(short_help="Find identifiers of people in data.")
@click.argument("data", type=options.PATH)
@options.config("Run config (YAML): data.columns, data.privacy.")
@options.overrides("Set one config key, e.g. data.columns.prompt=question; may be repeated.")
@options.json_lines("Write one JSON line per finding: file, line, field, start, end, label.")
@click.option(
    "--redact",
    "redact_out",
    metavar="OUT",
    type=options.PATH,
    help="Write a copy of the data with labels such as [DATE] in place of each finding.",
)
def scan(
    data: Path,
    config: str | None,
    overrides: tuple[str, ...],
    json_out: Path | None,
    redact_out: Path | None,
) -> None:
    """Find identifiers of people in DATA, a data file or a folder of them, and say where.

    Looks for the HIPAA Safe Harbor identifiers that can occur in text; it cannot see
    photographs, voice prints or fingerprints.  Findings are reported by place and class, never by
    their text.  If your fields have other names, map them: --set data.columns.prompt=question.

    Exits with 77 if structured identifiers (such as phone numbers or record numbers) were found;
    names and places only cause a warning.  With --json, --redact, or data.privacy set to warn or
    off, findings do not change the exit code.
    """
    from medlora.jobs import scan as job
    from medlora.plan.resolve_run import Options, resolve
    from medlora.runtime import snapshot

    options = Options(config=config, data=str(data), overrides=overrides)
    cfg = resolve(options, snapshot(), allow_demo=False).resolved.config
    job.run(data, cfg.data, json_out=json_out, redact_out=redact_out)


@cli.command(computes=True, short_help="Show how rows are tokenized.")
@click.argument("data", type=options.PATH)
@options.BASE
@options.config("Run config (YAML): the data section.")
@options.overrides('Set one config key, e.g. data.chat_template_kwargs={"enable_thinking": false}.')
@click.option(
    "--row",
    "rows",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="Show the row on line N; may be repeated.  [default: the first three rows]",
)
@options.json_lines(
    "Write one JSON line per example: row, ids, learn (1: the token counts towards the loss)."
)
@click.option(
    "--text",
    "with_text",
    is_flag=True,
    help="With --json, also write text, and learnt: its parts that count towards the loss.",
)
def render(
    data: Path,
    *,
    rows: tuple[int, ...],
    json_out: Path | None,
    with_text: bool,
    **chosen: Any,  # noqa: ANN401  (click's options, typed in Options)
) -> None:
    """Show how each row of DATA is tokenized, and which tokens count towards the loss.

    This is the one command that SHOWS THE TEXT OF ROWS, on standard output or in the file that
    --json names; it is never logged.  A row gives one training example, or one per assistant turn
    if the chat template renders earlier turns differently from the last.

    With --row or --json, exits with 65 after the usable rows if others cannot be used with this
    base model.
    """
    from medlora.plan.quick_checks import look_for_base
    from medlora.plan.resolve_run import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(data=str(data), **chosen), snapshot(), allow_demo=False)
    look_for_base(plan)

    from medlora.jobs import render as job

    job.run(plan, rows=rows, json_out=json_out, with_text=with_text)
