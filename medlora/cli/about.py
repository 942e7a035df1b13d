"""Commands about the program and its surroundings: version, doctor, config."""

from typing import Any

import click

from medlora.cli import options
from medlora.cli.group import cli


@cli.command(short_help="Show the software versions in this image.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(*, as_json: bool) -> None:
    """Show versions, CUDA, the minimum NVIDIA driver version, and the image's labels."""
    from medlora.jobs import version as job

    click.echo(job.as_json() if as_json else job.as_text(), nl=False)


@cli.command(short_help="Show platform, GPUs, versions and folders.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON, without versions, devices and folders.",
)
def doctor(*, as_json: bool) -> None:
    """Show platform, machines, workers and paths, and where each value comes from.

    Versions, devices and folders follow.  Nothing is started and nothing is written.

    Exits with 78 if environment variables conflict or are invalid, with 69 if a required one is
    missing.
    """
    from medlora.jobs import doctor as job
    from medlora.runtime import snapshot

    click.echo(job.as_json(snapshot()) if as_json else job.as_text(snapshot()), nl=False)


@cli.command(short_help="Print every config key with its value and origin.")
@options.run_inputs
@click.option("--schema", "form", flag_value="schema", help="Print the JSON Schema, for editors.")
@click.option("--reference", "form", flag_value="reference", help="Print docs/configuration.md.")
@click.option("--explain", "key", metavar="KEY", help="Explain one key or one section.")
def config(form: str | None, key: str | None, **chosen: Any) -> None:  # noqa: ANN401
    """Print every config key with its value and where the value came from."""
    from medlora.config import Machine, refuse_conflicts
    from medlora.config.explain import explain, reference
    from medlora.config.json_schema import json_schema
    from medlora.config.yaml_output import as_yaml
    from medlora.plan.resolve_run import Options, resolve
    from medlora.runtime import snapshot

    pages = {"schema": json_schema, "reference": reference}
    if form:
        click.echo(pages[form]().rstrip("\n"))
        return
    resolved = resolve(Options(**chosen), snapshot(), allow_demo=False).resolved
    click.echo(explain(key, resolved) if key else as_yaml(resolved).rstrip("\n"))
    if not key:
        refuse_conflicts(resolved.config, Machine(), origins=resolved.origins)
