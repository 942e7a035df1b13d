"""What README and docs say is so: commands parse, tables match the code, links lead somewhere."""

import ast
import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path

import click
import pytest

import medlora
from medlora import errors
from medlora.cli import cli
from medlora.config import KEYS
from medlora.runtime import PLACES
from tests.documented import COMMANDS, NEEDS, ROOT, TEXTS, Command, exit_codes
from tests.image.test_exits import CONDITIONS, LINES, SAID

README = TEXTS["README.md"]
CI = [ROOT / ".ci/run", *sorted((ROOT / ".github/workflows").glob("*.yml"))]
ELSEWHERE = {  # targets that no job of CI names, and where they are run
    "setup": "Makefile",  # before every other one
    "check": ".ci/run",  # its two halves, one after the other
    "demo": "tests/image/test_demo.py",  # its only command
}


def name_of(command: Command) -> str:
    """Page and line, short enough for a list of tests."""
    return f"{command.page}: {command.line}"[:80]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.is_ours], ids=name_of)
def test_every_medlora_command_parses(command: Command) -> None:
    """Options and file names exist."""
    arguments = command.arguments
    found: click.Command = cli
    while isinstance(found, click.Group):
        found = found.commands[arguments[0]]
        arguments = arguments[1:]
    context = found.make_context(found.name, arguments)
    for override in context.params.get("overrides", ()):
        assert override.split("=")[0] in KEYS
    if context.params.get("config"):
        config = context.params["config"]
        assert config == "recommended" or (ROOT / config).is_file()


def test_every_command_is_run_by_a_test_or_says_what_it_needs() -> None:
    """`tests/test_documented.py` runs ours, CI runs make's; a block of others is marked."""
    assert {command.need for command in COMMANDS} <= {"", *NEEDS}
    others = [c for c in COMMANDS if not (c.need or c.is_ours or c.is_make)]
    assert {c.words[0] for c in others} <= {"mkdir"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.is_make], ids=name_of)
def test_every_make_target_exists_and_is_run(command: Command) -> None:
    """A job of CI names it, or the table above, unless its block is marked."""
    target = command.words[1]
    assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if command.need:
        return
    run = any(re.search(rf"\bmake {target}\b", path.read_text(encoding="utf-8")) for path in CI)
    assert run or (ROOT / ELSEWHERE[target]).is_file()


def test_commands_in_the_text_exist() -> None:
    """`medlora x --option` and `python -m benchmarks.x` between backticks."""
    for page, text in TEXTS.items():
        for line in re.findall(r"`medlora ([a-z][^`]*)`", text):
            words = line.split()
            found = cli.commands[words[0]]
            if isinstance(found, click.Command) and not isinstance(found, click.Group):
                known = {name for one in found.params for name in one.opts}
                assert {w.split("=")[0] for w in words if w.startswith("--")} <= known, (page, line)
        for module in re.findall(r"`python -m (benchmarks\.[a-z_]+)", text):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists() or (
                ROOT / module.replace(".", "/")
            ).is_dir(), page
        for target in re.findall(r"`make ([a-z0-9-]+)", text):
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), page


def test_python_compiles_and_its_names_are_public() -> None:
    """Every block of Python in README and docs."""
    for text in TEXTS.values():
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module == "medlora":
                    assert {alias.name for alias in node.names} <= set(medlora.__all__)


def test_every_link_leads_somewhere() -> None:
    """To a file that is there, and to a heading that it has."""
    for page, text in TEXTS.items():
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            assert target.exists(), (page, link)
            if anchor:
                assert anchor in anchors(target.read_text(encoding="utf-8")), (page, link)


def anchors(text: str) -> set[str]:
    """The names that a forge gives to headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_sentence_stands_twice() -> None:
    """A fact that stands in two places is soon two facts; short ones and generated pages aside."""
    said = Counter[str]()
    for page, text in TEXTS.items():
        if page not in ("docs/configuration.md", "docs/bases.md"):
            prose = re.sub(r"```.*?```", "\n\n", text, flags=re.DOTALL)
            for part in re.split(r"\n\s*\n|\n(?=[-|#])", prose):
                said.update(set(re.split(r"(?<=[.:])\s+", " ".join(part.split()))))
    assert [one for one, times in said.items() if times > 1 and len(one.split()) > 7] == []


def test_the_readme_is_read_in_five_minutes() -> None:
    """At 240 words a minute."""
    assert len(README.split()) < 5 * 240


def test_the_readme_lists_every_command() -> None:
    """The table has a row for each, and no other."""
    assert set(re.findall(r"^\| `medlora ([a-z-]+)` \|", README, re.MULTILINE)) == set(cli.commands)


def test_the_exit_codes_are_those_of_the_error_family() -> None:
    """Each error class has a row, each row but the shell's and the system's a class; and advice."""
    page = TEXTS["docs/troubleshooting.md"]
    rows = set(exit_codes())
    classes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MedloraError)
    }
    assert rows == classes | {0, 2, 135, 137}
    assert {int(code) for code in re.findall(r"^### (\d+):", page, re.MULTILINE)} == rows - {0}


def test_each_exit_code_is_seen_in_a_container() -> None:
    """By a line for a shell in its row, or as a condition; tests/image brings about all of them."""
    assert set(exit_codes()) == set(SAID)
    assert LINES.keys().isdisjoint(CONDITIONS)
    assert LINES.keys() | CONDITIONS.keys() == set(SAID)
    assert all(exit_codes().values())


def test_the_messages_that_troubleshooting_quotes_are_ours() -> None:
    """What stands between *" and " there is printed by some line of the code."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "medlora").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    quoted = re.findall(r'\*"(.+?)"\*', TEXTS["docs/troubleshooting.md"], re.DOTALL)
    assert len(quoted) > 10
    for message in quoted:
        for part in re.split(r"\.\.\.|\b\d+ s\b|\b[NM0-9]\b(?: of [NM0-9]\b)?", message):
            words = " ".join(part.split()).strip(" :,")
            assert len(words) < 4 or words in code, message


def test_the_places_are_those_of_the_runtime() -> None:
    """Mount, variable and option of each place are in the table."""
    page = TEXTS["docs/quickstart.md"]
    for place in PLACES:
        assert f"| `/{place.mount}` | `{place.variable}` | `--{place.name}`" in page


def test_the_layers_are_those_that_the_linter_keeps() -> None:
    """In the architecture's table as in pyproject.toml, top to bottom."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    kept = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|", TEXTS["docs/architecture.md"], re.MULTILINE)
    assert [row.replace("`", "").replace(", ", " | ") for row in rows] == kept[1:]


def test_keys_that_the_pages_name_exist() -> None:
    """`section.key` in code marks is a key of the schema, or one of its sections."""
    sections = {key.rpartition(".")[0] for key in KEYS}
    for page, text in TEXTS.items():
        named = set(re.findall(r"`((?:data|lora|training|model|privacy|gate)\.[a-z_.0-9]+)", text))
        files = {name for name in named if Path(name).suffix in (".jsonl", ".json")}
        assert named - files <= KEYS | sections, page


def test_shell_lines_are_shell() -> None:
    """Quotes are closed, continuation lines joined."""
    assert all(shlex.split(command.line) for command in COMMANDS)
