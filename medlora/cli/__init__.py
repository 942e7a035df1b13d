"""Command line of the image: parse, call one job, turn errors into exit codes.

Each command is registered in the module of its subject, which is imported here.
"""

from typing import NoReturn

from medlora.cli import about, data, evaluate, model, process, runs, train
from medlora.cli.group import cli

__all__ = ["about", "cli", "data", "evaluate", "main", "model", "run", "runs", "train"]


def main() -> NoReturn:
    """Run the command line and leave at once: taking torch apart lasts longer than a save."""
    try:
        run(guarded=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else process.BUG
    process.leave(code)


def run(*, guarded: bool = False) -> NoReturn:
    """Run the command line; an expected failure ends with its code and without a traceback.

    Args:
        guarded: close the network, for as long as this process lives.
    """
    process.run_command(cli, guarded=guarded)
