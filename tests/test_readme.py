"""What README and docs say is so: their commands parse, their tables match the code."""

import re
import shlex
from pathlib import Path

import click
import pytest

from medlora import errors
from medlora.cli import cli
from medlora.config.names import KEYS
from medlora.runtime import PLACES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = [README, *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md")))]
BLOCKS = [block for text in TEXTS for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]
COMMANDS = [
    line.split("#")[0].strip()
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
]


@pytest.mark.parametrize(
    "command",
    [c for c in COMMANDS if re.search(rf"\bmedlora ({'|'.join(cli.commands)})\b", c)],
)
def test_every_medlora_command_parses(command: str) -> None:
    """Options and file names in the README exist."""
    words = shlex.split(command)
    arguments = words[words.index("medlora") + 1 :]
    subcommand = cli.commands[arguments[0]]
    context = subcommand.make_context(arguments[0], arguments[1:])
    assert isinstance(context, click.Context)
    for override in context.params.get("overrides", ()):
        assert override.split("=")[0] in KEYS
    if context.params.get("config"):
        assert (ROOT / context.params["config"]).is_file()


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_every_make_target_exists(command: str) -> None:
    """Targets in the README are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"\n{command.split()[1]}:" in makefile


def test_the_exit_codes_are_those_of_the_error_family() -> None:
    """Each error class has its row, and each row but the shell's own has a class."""
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}
    classes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MedloraError)
    }
    assert rows == classes | {0, 2, 143}


def test_the_places_are_those_of_the_runtime() -> None:
    """Mount, variable and option of each place are in the table."""
    for place in PLACES:
        assert f"| `/{place.mount}` | `{place.variable}` | `--{place.name}`" in README


def test_keys_that_the_readme_names_exist() -> None:
    """`section.key` in code marks is a key of the schema."""
    named = re.findall(r"`((?:data|lora|training|model|privacy)\.[a-z_.0-9]+)", README)
    assert named
    assert set(named) <= KEYS
