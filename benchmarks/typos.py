"""Every single typing mistake in every config key: is the right key suggested, and the place told?

A letter more, less, other, or two swapped, anywhere in the dotted key: also in the section's name
and in the dot.  Each mistake is made in a file, in a variable and in an option.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from medlora.config import KEYS, Setting, from_yaml, load
from medlora.config.sourced_value import from_options, from_variables
from medlora.errors import ConfigError
from medlora.plan.resolve_run import wrong_variables
from medlora.runtime import Environment

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def typos(key: str) -> Iterator[str]:
    """Yield every text that one edit makes of a key, and that is no key itself."""
    found = set()
    for place in range(len(key) + 1):
        before, after = key[:place], key[place:]
        found.update(before + letter + after for letter in _LETTERS)
        if after:
            found.add(before + after[1:])
            found.update(before + letter + after[1:] for letter in _LETTERS)
        if len(after) > 1:
            found.add(before + after[1] + after[0] + after[2:])
    yield from sorted(found - KEYS)


def as_yaml(key: str) -> str:
    """Return a file that sets a dotted key to 1."""
    names = key.split(".")
    indented = (f"{'  ' * depth}{name}:" for depth, name in enumerate(names))
    return "# a comment\n" + "\n".join(indented) + " 1\n"


class Ways:
    """The three ways to set a key, each as (settings of a typo, what the place begins with)."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "run.yaml"
        self.all: dict[str, Callable[[str], tuple[Iterator[Setting], str]]] = {
            "file": self.in_file,
            "option": self.as_option,
            "variable": self.as_variable,
        }

    def in_file(self, typo: str) -> tuple[Iterator[Setting], str]:
        """In a file; each part of a key has a line of its own, and any of them may be told."""
        self._file.write_text(as_yaml(typo), encoding="utf-8")
        return from_yaml(self._file), f"{self._file}:"

    def as_option(self, typo: str) -> tuple[Iterator[Setting], str]:
        """On the command line."""
        return from_options([f"{typo}=1"]), f"option --set {typo}"

    def as_variable(self, typo: str) -> tuple[Iterator[Setting], str]:
        """In the environment."""
        name = f"MEDLORA_{typo.replace('.', '__').upper()}"
        given = Environment({name: "1"}, frozenset())
        settings = itertools.chain(wrong_variables(given), from_variables(given.variables))
        return settings, f"variable {name}"


def judge(ways: Ways, *, every: int = 1) -> Iterator[tuple[str, str, str, bool, bool]]:
    """Yield (way, key, typo, right key suggested, place told)."""
    pairs = ((key, typo) for key in sorted(KEYS) for typo in typos(key))
    for key, typo in itertools.islice(pairs, 0, None, every):
        for way, settings_of in ways.all.items():
            settings, place = settings_of(typo)
            said = complaint(settings)
            meant = f"MEDLORA_{key.replace('.', '__').upper()}" if way == "variable" else key
            right = any(f"did you mean {one}?" in said for one in (key, meant))
            yield way, key, typo, right, f"\n  {place}" in said


def complaint(settings: Iterator[Setting]) -> str:
    """Return what is said of settings that cannot be used, "" if nothing is."""
    try:
        load(settings)
    except ConfigError as error:
        return str(error)
    return ""


def main() -> None:
    """Print the shares, and the typos that lead elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="look at every so many typos alone")
    parser.add_argument("--show", type=int, default=20, help="misses to print")
    asked = parser.parse_args()
    seen, right, placed, missed = Counter[str](), Counter[str](), Counter[str](), list[str]()
    with TemporaryDirectory() as folder:
        for way, key, typo, is_right, is_placed in judge(Ways(Path(folder)), every=asked.every):
            seen[way] += 1
            right[way] += is_right
            placed[way] += is_placed
            if not is_right:
                missed.append(f"{way}: {typo} for {key}")
    for way, count in seen.items():
        print(
            f"{way}: {count:,} typos of {len(KEYS)} keys; right key suggested "
            f"{right[way] / count:.2%}, place told {placed[way] / count:.2%}"
        )
    print("\n".join(missed[: asked.show]))


if __name__ == "__main__":
    main()
