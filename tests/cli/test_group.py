"""Every command is registered once, declares what it needs, and is light until it works."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from medlora.cli import cli
from medlora.cli.group import Command
from tests.cli.console import ROOT


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help and version answer without torch, transformers, peft, accelerate or pydantic."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['medlora', *{arguments!r}]\n"
        "try:\n    from medlora.cli import cli, process; process.run_command(cli, guarded=False)\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'transformers', 'peft', 'accelerate', 'numpy', 'pydantic'}\n"
        "imported = heavy & set(sys.modules)\n"
        "assert not imported, imported\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", ["card", "diff", "model_pack", "report", "scan", "verify", "version"]
)
def test_what_only_reads_files_needs_no_torch(command: str) -> None:
    """Importing it takes longer than what these do."""
    heavy = "{'torch', 'transformers', 'peft', 'accelerate'}"
    code = f"import sys, medlora.jobs.{command}\nassert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def commands(group: click.Group) -> Iterator[click.Command]:
    """Every command, those of groups within it too."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield command


def test_a_new_command_is_sealed_unless_it_says_that_it_fetches() -> None:
    """Those that may need the network are a decision of their own, in groups too."""
    declared = {command.name: command for command in commands(cli)}
    assert all(isinstance(command, Command) for command in declared.values())
    assert {name for name, command in declared.items() if command.fetches} == {
        "train",
        "check",
        "evaluate",
    }


def test_every_job_is_a_command() -> None:
    """A module of `jobs` is one that the command line names; what several share is below."""
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "medlora/cli").glob("*.py")]
    named = set(re.findall(r"from medlora\.jobs import (\w+)", "\n".join(sources)))
    assert {file.stem for file in (ROOT / "medlora/jobs").glob("[!_]*.py")} == named
