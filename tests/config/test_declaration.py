"""What is known of a key stands where it is declared, and in no other module."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from medlora.config import KEYS, about
from medlora.runtime.places import EXTRAS, PLACES

ROOT = Path(__file__).parents[2] / "medlora"
DECLARE = {ROOT / "config/schema.py", *(ROOT / "config/sections").iterdir()}
# Rules over several keys are of no key's own.
OTHERS = sorted({*(ROOT / "config").glob("*.py")} - DECLARE - {ROOT / "config/conflicts.py"})
ELSEWHERE = [ROOT / "report/fingerprint.py", ROOT / "plan/local_copies.py"]
ALIASES = Counter(alias for key in KEYS for alias in about(key).also)
# The last part alone where it is not an everyday word, such as `text`.
NAMES = {*KEYS, *ALIASES, *(name for key in KEYS if "_" in (name := key.rpartition(".")[-1]))}


@pytest.mark.parametrize("file", [*OTHERS, *ELSEWHERE], ids=lambda file: file.name)
def test_no_other_module_knows_a_key_by_its_name(file: Path) -> None:
    """A new key is described in one place; a table of keys elsewhere would miss it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert sorted({text for text in constants if isinstance(text, str)} & NAMES) == []


def test_an_alias_is_of_one_key_and_no_key_itself() -> None:
    """It could not be suggested otherwise."""
    assert set(ALIASES.values()) == {1}
    assert not ALIASES.keys() & {name for key in KEYS for name in (key, key.rpartition(".")[-1])}


def test_a_path_never_decides_the_adapter() -> None:
    """What it leads to does, by its digest: the same data may be somewhere else."""
    assert not [key for key in KEYS if about(key).path_to and about(key).decides == "adapter"]


def test_a_place_sets_a_key_that_is_declared() -> None:
    """The environment names keys, and cannot import the schema."""
    keys = {*(place.key for place in PLACES if place.key), *EXTRAS.values()}
    assert {about(key).path_to for key in keys} == {"folder", "file"}
    assert {about(key).decides for key in keys} == {"input", "output"}
