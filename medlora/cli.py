"""Command line of the image: parse, call one job, turn errors into exit codes.

Stays free of torch so that `--help` and usage errors answer at once: heavy imports live
inside the commands.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from medlora.errors import MedloraError, StorageError

if TYPE_CHECKING:
    from medlora.runtime import Stop

_BUG = 70


@click.group(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="medlora", prog_name="medlora")
def cli() -> None:
    """Fine-tune a medical language model with LoRA, offline and reproducibly.

    Mount data, a config and a base model; take away an adapter and its evidence:

    \b
      docker run --gpus all --network none \\
        -v ./data:/data:ro -v ./config:/config:ro -v ./model:/models:ro \\
        -v ./checkpoints:/checkpoints medlora train

    With nothing mounted, `train` runs a small demo.
    """  # noqa: D301  (click's mark for lines to leave alone is a real backspace)


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command which reads a run config has."""
    for option in reversed(
        (
            click.option(
                "--config",
                metavar="FILE",
                help="Run config (YAML), or the word recommended.  "
                "[mount: /config; env: MEDLORA_CONFIG]",
            ),
            click.option(
                "--data",
                metavar="PATH",
                help="Folder with train.jsonl, or one file.  [mount: /data; env: MEDLORA_DATA]",
            ),
            click.option(
                "--model",
                metavar="FOLDER",
                help="Base model: config.json and *.safetensors.  "
                "[mount: /models; env: MEDLORA_MODEL]",
            ),
            click.option(
                "--checkpoints",
                metavar="FOLDER",
                help="Where runs write their folders.  "
                "[mount: /checkpoints; env: MEDLORA_CHECKPOINTS; else ./checkpoints]",
            ),
            click.option(
                "--output",
                metavar="FOLDER",
                help="Gets a copy of the result as well.  [mount: /output; env: MEDLORA_OUTPUT]",
            ),
            click.option(
                "--set",
                "overrides",
                multiple=True,
                metavar="KEY=VALUE",
                help="Set one config key, e.g. lora.r=16; may be repeated.  "
                "[env: MEDLORA_LORA__R=16]",
            ),
        )
    ):
        command = option(command)
    return command


@cli.command(short_help="Train an adapter.")
@_run_options
@click.option("--fresh", is_flag=True, help="Set what the run's folder holds aside; start over.")
@click.option(
    "--allow-change",
    "allow",
    multiple=True,
    metavar="NAME",
    help="Go on from a checkpoint although this key, or data or base, has changed.",
)
@click.pass_obj
def train(stop: "Stop", /, *, fresh: bool, allow: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401  (click's options, typed in Options)
    """Train an adapter: DATA + CONFIG + MODEL -> CHECKPOINTS/<run_name>/final.

    Started again after an interruption, it goes on from the newest checkpoint and ends with the
    same adapter, bit for bit.
    """
    from medlora.jobs import here
    from medlora.jobs.settings import Options, resolve
    from medlora.runtime import snapshot

    environment, given = snapshot(), Options(**options)
    here.announce(environment, given.places())
    plan = resolve(given, environment)

    from medlora.jobs import train as job  # torch and all: only once the config is good

    job.run(plan, stop=stop, fresh=fresh, allow=allow)


@cli.command(short_help="Show where this runs, and what is here.")
@click.option("--json", "as_json", is_flag=True, help="The place alone, for programs.")
def doctor(*, as_json: bool) -> None:
    """Show platform, machines, workers and paths, each with the source it comes from.

    Then versions, devices and folders.  Nothing is started and nothing is written.  Ends with 78
    where the environment contradicts itself, with 69 where a part of it is missing.
    """
    from medlora.jobs import doctor as job
    from medlora.runtime import snapshot

    click.echo(job.as_json(snapshot()) if as_json else job.as_text(snapshot()), nl=False)


@cli.command(short_help="Print every config key with its value and origin.")
@_run_options
def config(**options: Any) -> None:  # noqa: ANN401
    """Print every config key with its value and where the value came from."""
    from medlora.config.show import as_yaml
    from medlora.jobs.settings import Options, resolve
    from medlora.runtime import snapshot

    click.echo(
        as_yaml(resolve(Options(**options), snapshot(), allow_demo=False).resolved), nl=False
    )


@cli.command(short_help="Check every digest of a run.")
@click.argument("run", type=click.Path(path_type=Path))
def verify(run: Path) -> None:
    """Check every file of RUN, or of one checkpoint, against its manifest; trains nothing.

    Ends with 77 where a byte is not as it was written.
    """
    from medlora.jobs import verify as job

    job.run(run)


@cli.command(short_help="Train a run again and compare the adapter.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", metavar="PATH", help="Where the run's data is now, if it has moved.")
@click.option("--model", metavar="FOLDER", help="Where its base model is now, if it has moved.")
@click.pass_obj
def reproduce(stop: "Stop", /, *, run: Path, data: str | None, model: str | None) -> None:
    """Train RUN again from its manifest, beside it, and compare the adapter's SHA-256.

    Ends with 77 where the adapters differ, with 78 where data or base are not the run's.
    """
    from medlora.jobs import reproduce as job

    job.run(run, data=data, model=model, stop=stop)


@cli.command(short_help="Find identifiers of people in data.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--config", metavar="FILE", help="Run config (YAML): data.columns, data.privacy.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one config key, e.g. data.columns.prompt=question; may be repeated.",
)
@click.option(
    "--json",
    "json_out",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one line a finding: file, line, field, start, end, label.",
)
@click.option(
    "--redact",
    "redact_out",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Write a copy of the data with labels such as [DATE] in place of what was found.",
)
def scan(
    data: Path,
    config: str | None,
    overrides: tuple[str, ...],
    json_out: Path | None,
    redact_out: Path | None,
) -> None:
    """Find identifiers of people in DATA, a .jsonl file or a folder of them, and say where.

    Looks for the classes of HIPAA's Safe Harbor as far as text shows them; photographs, and voice
    and finger prints themselves, it cannot see.  What was found is told by place and class, never
    by its text.  Other field names: --set data.columns.prompt=question.

    Ends with 65 where identifiers with a form of their own were found (names and places only
    warn) and no redacted copy was asked for, unless data.privacy is warn or off.
    """
    from medlora.jobs import scan as job
    from medlora.jobs.settings import Options, resolve
    from medlora.runtime import snapshot

    options = Options(config=config, data=str(data), overrides=overrides)
    cfg = resolve(options, snapshot(), allow_demo=False).resolved.config
    job.run(data, cfg.data, json_out=json_out, redact_out=redact_out)


def main() -> NoReturn:
    """Run the command line; an expected failure ends with its code and without a traceback."""
    from medlora.runtime.stop import EXIT_CODE, Stop

    stop = Stop()
    stop.listen()  # before anything slow
    from medlora import logs, runtime

    logs.set_up()
    runtime.prepare_process()
    try:
        cli(prog_name="medlora", standalone_mode=False, obj=stop)
    except MedloraError as error:
        click.echo(f"error: {error}", err=True)
        _tell_platform(str(error), error.exit_code)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        _tell_platform(error.format_message(), error.exit_code)
        sys.exit(error.exit_code)
    except PermissionError as error:  # somewhere where nobody thought of another user's file
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        click.echo(f"error: {where}{error.strerror}", err=True)
        _tell_platform(f"{where}{error.strerror}", StorageError.exit_code)
        click.echo(f"  fix: let uid {os.getuid()} or its group read and write it", err=True)
        sys.exit(StorageError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_CODE)
    except Exception as error:  # noqa: BLE001  (the last line before the user)
        _report_bug(error)
        _tell_platform(f"{type(error).__name__}: a bug in MedLoRA", _BUG)
        sys.exit(_BUG)
    sys.exit(0)


def _tell_platform(cause: str, code: int) -> None:
    """Leave the cause where the platform looks for it; being stopped is no failure."""
    from medlora import runtime
    from medlora.runtime.stop import EXIT_CODE

    if code != EXIT_CODE:
        runtime.report_failure(runtime.snapshot(), cause)


def _report_bug(error: BaseException) -> None:
    """Print where a bug is, but not its message, which may quote a training row."""
    from medlora import runtime

    frames = "".join(traceback.format_tb(error.__traceback__))
    click.echo(f"{frames}{type(error).__name__}: a bug in MedLoRA", err=True)
    if runtime.snapshot().variables.get("MEDLORA_SHOW_BUG_MESSAGES"):
        click.echo(str(error), err=True)
    else:
        click.echo(
            "  fix: report the lines above; the message is withheld because it may quote data "
            "(MEDLORA_SHOW_BUG_MESSAGES=1 shows it)",
            err=True,
        )


if __name__ == "__main__":
    main()
