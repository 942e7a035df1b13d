"""Options and arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path

import click

_Function = Callable[..., None]
_Decorator = Callable[[_Function], _Function]

PATH = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
RUN = click.argument("run", type=PATH)
BASE = click.option(
    "--model", metavar="FOLDER", help="Base model.  [mount: /models; env: MEDLORA_MODEL]"
)
BASE_OF_RUN = click.option(
    "--model", metavar="FOLDER", help="Base model folder, if it has moved since training."
)
EVALUATIONS = click.option(
    "--evaluation",
    "evaluations",
    metavar="FILE",
    multiple=True,
    type=PATH,
    help="A report that `medlora evaluate` wrote on a run's adapter; may be repeated.",
)


def config(what: str) -> _Decorator:
    """Return the option of the run config, with the help that says what of it is used."""
    return click.option("--config", metavar="FILE", help=what)


def overrides(what: str = "Set one config key.") -> _Decorator:
    """Return the option that sets config keys, with its help."""
    return click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=what)


def statements(what: str) -> _Decorator:
    """Return the option of the file with fields that a person fills in, with its help."""
    return click.option("--statements", metavar="FILE", type=PATH, help=what)


def output_file(what: str) -> _Decorator:
    """Return the option of the one file that is written, with its help."""
    return click.option("--output", metavar="FILE", type=PATH, help=what)


def json_lines(what: str) -> _Decorator:
    """Return the option of a file of JSON Lines, with its help."""
    return click.option(
        "--json",
        "json_out",
        metavar="OUT",
        type=click.Path(dir_okay=False, path_type=Path),
        help=what,
    )


def batch_size(default: int | None = None) -> _Decorator:
    """Return the option of the rows in a batch."""
    return click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=default,
        help="Rows per batch; affects speed only.",
    )


def max_new_tokens(default: int | None = None) -> _Decorator:
    """Return the option of the longest answer."""
    return click.option(
        "--max-new-tokens",
        type=click.IntRange(1),
        default=default,
        help="Longest answer, in tokens.",
    )


def run_inputs(command: _Function) -> _Function:
    """Add the options that every command which reads a run config has."""
    for option in reversed(_RUN_INPUTS):
        command = option(command)
    return command


def moved_inputs(command: _Function) -> _Function:
    """Add the options of a command that reads a finished run's data and base again."""
    for option in reversed(_MOVED_INPUTS):
        command = option(command)
    return command


_RUN_INPUTS = (
    click.option(
        "--config",
        metavar="FILE",
        help="Run config (YAML), or `recommended` for the default values.  "
        "[mount: /config; env: MEDLORA_CONFIG]",
    ),
    click.option(
        "--data",
        metavar="PATH",
        help="Folder with train.csv (or .jsonl, .json, .parquet), or one file.  "
        "[mount: /data; env: MEDLORA_DATA]",
    ),
    click.option(
        "--model",
        metavar="FOLDER",
        help="Base model: config.json and *.safetensors.  [mount: /models; env: MEDLORA_MODEL]",
    ),
    click.option(
        "--checkpoints",
        metavar="FOLDER",
        help="Parent folder of all runs.  "
        "[mount: /checkpoints; env: MEDLORA_CHECKPOINTS; else ./checkpoints]",
    ),
    click.option(
        "--output",
        metavar="FOLDER",
        help="Folder to which `train` also copies the result.  "
        "[mount: /output; env: MEDLORA_OUTPUT]",
    ),
    overrides(
        "Set one config key, e.g. lora.r=16; may be repeated.  "
        "[env: MEDLORA_SECTION__KEY, e.g. MEDLORA_LORA__R=16]"
    ),
)
_MOVED_INPUTS = (
    click.option("--data", metavar="PATH", help="The run's data, if it has moved since training."),
    BASE_OF_RUN,
)
