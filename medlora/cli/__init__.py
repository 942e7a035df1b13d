"""Command line of the image: parse, call one job, turn errors into exit codes.

Each command is registered in the module of its subject, which is imported here.
"""

from functools import partial

from medlora.cli import (  # noqa: F401  (each registers its commands)
    about,
    data,
    evaluate,
    model,
    process,
    runs,
    train,
)
from medlora.cli.group import cli

__all__ = ["cli", "main"]


main = partial(process.run_command, cli)
"""Run the command line and end the process."""
