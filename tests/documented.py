"""The commands in README and docs, for the tests that hold them true."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")),
        *sorted(ROOT.glob("docs/**/*.md")),
    )
}
# The word behind ```bash of a block that a unit test cannot run.
NEEDS = {
    "gpu": "a GPU",
    "engine": "a container engine; tests/image and scripts/airgap-test.sh run these",
    "cloud": "an account; tests/deploy checks the files that they send",
    "cluster": "Slurm, Apptainer",
    "network": "a published image",
    "kit": "the kit for a place without a network; scripts/airgap-test.sh runs these",
    "root": "a machine of its own",
    "server": "software that is not installed here",
    "hours": "nothing but time",
}
_BLOCK = re.compile(r"```bash(?: (\w+))?\n(.*?)```", re.DOTALL)
_SETTING = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of one page, comment and line breaks taken off."""

    page: str
    need: str
    line: str

    @property
    def words(self) -> list[str]:
        """The command's words, without the variables set before it."""
        return [w for i, w in enumerate(shlex.split(self.line)) if i or not _SETTING.fullmatch(w)]

    @property
    def variables(self) -> dict[str, str]:
        """What is set before it."""
        first = shlex.split(self.line)[0]
        return dict([first.split("=", 1)]) if _SETTING.fullmatch(first) else {}

    @property
    def is_ours(self) -> bool:
        """Whether it calls medlora itself, and not a container of it."""
        return self.words[0] == "medlora"

    @property
    def is_make(self) -> bool:
        """Whether it calls make."""
        return self.words[0] == "make"

    @property
    def arguments(self) -> list[str]:
        """What follows `medlora`."""
        return self.words[1:]


def _commands() -> Iterator[Command]:
    for page, text in TEXTS.items():
        for need, block in _BLOCK.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                command = re.sub(r"(^|\s)#.*", "", line).strip()
                if command:
                    yield Command(page, need, " ".join(command.split()))


COMMANDS = list(_commands())


def exit_codes() -> dict[int, str]:
    """Return for each exit code of the page how it is seen, as the page has it."""
    row = re.compile(r"^\| (\d+) \|.*\| ([^|]*) \|$", re.MULTILINE)
    return {int(code): how for code, how in row.findall(TEXTS["docs/troubleshooting.md"])}
