"""The recipes of docs/extending.md work as they stand, by one module and its registration each.

Code, registration, test and command are taken out of the page and tried on a copy of the package.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from medlora.data.formats.registry import FORMATS
from medlora.data.forms.registry import BY_NAME, FORMS
from medlora.evaluate.kinds.registry import KINDS
from medlora.evaluate.safety import RULES
from medlora.runtime.platforms.registry import PLATFORMS
from tests.documented import ROOT, TEXTS

_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_SHIM = '#!/bin/sh\nexec "{python}" -m medlora "$@"\n'
LOADS_A_MODEL = {"A form of rows", "A kind of suites", "A LoRA variant"}


@dataclass
class Recipe:
    """One section of the page; `modules` and `tests` are {file: text}, `hunks` {file: changes}."""

    title: str
    modules: dict[str, str] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    hunks: dict[str, list[str]] = field(default_factory=dict)
    command: str = ""  # the first; further ones renew generated files
    printed: list[str] = field(default_factory=list)


def _recipe(title: str, text: str) -> Recipe:
    recipe = Recipe(title)
    for language, block in _BLOCK.findall(text):
        if language == "python":
            file, _, code = block.removeprefix("# ").partition("\n")
            (recipe.tests if file.startswith("tests/") else recipe.modules)[file] = code
        elif language == "diff":
            for hunk in block.split("@@ ")[1:]:
                file, _, changes = hunk.partition("\n")
                recipe.hunks.setdefault(file, []).append(changes)
        elif language == "sh":
            recipe.command = recipe.command or block
        elif language == "text":
            recipe.printed = block.splitlines()
    return recipe


def _recipes() -> Iterator[Recipe]:
    _, *sections = re.split(r"^## (.+)\n", TEXTS["docs/extending.md"], flags=re.MULTILINE)
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        yield _recipe(title, text)


RECIPES = {recipe.title: recipe for recipe in _recipes()}
EACH = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


Follow = Callable[[str], Path]


@pytest.fixture(scope="module")
def follow(tmp_path_factory: pytest.TempPathFactory) -> Follow:
    """Return a copy of the package in which a recipe was followed, one for each recipe."""
    return cache(lambda title: _follow(RECIPES[title], tmp_path_factory.mktemp("copy")))


def _follow(recipe: Recipe, copy: Path) -> Path:
    """Do what a recipe says; what it leaves alone is a link to what is here."""
    demo = shutil.ignore_patterns("demo")  # a base whose files are links is refused
    shutil.copytree(ROOT / "medlora", copy / "medlora", copy_function=os.symlink, ignore=demo)
    for name in ("medlora/demo", "pyproject.toml"):
        (copy / name).symlink_to(ROOT / name)
    for file, code in {**recipe.modules, **recipe.tests}.items():
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        with (copy / file).open("x", encoding="utf-8") as new:  # never one that is there
            new.write(code)
    for file, hunks in recipe.hunks.items():
        text = (copy / file).read_text(encoding="utf-8")
        for hunk in hunks:
            text = _changed(text, hunk)
        (copy / file).unlink()
        (copy / file).write_text(text, encoding="utf-8")
    (copy / "bin").mkdir()
    (copy / "bin/medlora").write_text(_SHIM.format(python=sys.executable), encoding="utf-8")
    (copy / "bin/medlora").chmod(0o755)
    return copy


def _changed(text: str, hunk: str) -> str:
    lines = hunk.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    start = before.rstrip("\n")  # a line's end, such as a comment, may be left out
    assert len(re.findall(rf"^{re.escape(start)}", text, re.MULTILINE)) == 1, start
    return text.replace(start, after.rstrip("\n"), 1)


def _run(arguments: list[str], copy: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{copy / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        arguments,
        cwd=copy,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MEDLORA_DEVICE": "cpu",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def _slow(titles: set[str]) -> list[object]:
    """Each recipe, those that load torch marked."""
    return [
        pytest.param(recipe, id=title, marks=[pytest.mark.slow] if title in titles else [])
        for title, recipe in RECIPES.items()
    ]


def test_no_two_records_of_a_registry_share_a_name() -> None:
    """Nor an ending or a measure; a form has the name by which it is registered."""
    names = [
        [record.name for record in registry]
        for registry in (PLATFORMS, FORMATS, FORMS, KINDS, RULES)
    ]
    names.append([suffix for format_ in FORMATS for suffix in format_.suffixes])
    names.append([measure.name for kind in KINDS for measure in kind.measures])
    assert [len(set(those)) for those in names] == [len(those) for those in names]
    assert {name: form.name for name, form in BY_NAME.items()} == {name: name for name in BY_NAME}


def test_every_kind_of_extension_has_a_recipe() -> None:
    """The table at the top links to each section, and to nothing else."""
    text = TEXTS["docs/extending.md"]
    links = re.findall(r"^\| \[[^]]+\]\(#([a-z-]+)\)", text, re.MULTILINE)
    assert links == [title.lower().replace(" ", "-") for title in RECIPES]


@EACH
def test_a_recipe_is_one_module_and_one_registration(recipe: Recipe) -> None:
    """A test and a command beside them; LoRA variants that PEFT has need no module."""
    assert len(recipe.modules) == (recipe.title != "A LoRA variant")
    assert len(recipe.hunks) == len(recipe.tests) == 1
    assert recipe.command
    assert recipe.printed
    changed = [
        line for hunks in recipe.hunks.values() for hunk in hunks for line in hunk.split("\n")
    ]
    taken = [line for line in changed if line.startswith("-")]
    assert all(line.startswith('-VERSION = "') for line in taken)


@EACH
def test_only_the_module_and_its_registration_are_touched(recipe: Recipe, follow: Follow) -> None:
    """All else in the copy is what stands here, by links."""
    copy = follow(recipe.title)
    own = {
        str(path.relative_to(copy))
        for path in copy.glob("medlora/**/*")
        if path.is_file() and path.resolve().is_relative_to(copy)
    }
    assert own == {*recipe.modules, *recipe.hunks}


@pytest.mark.parametrize("recipe", _slow({"A LoRA variant"}))
def test_the_recipe_s_own_test_passes(recipe: Recipe, follow: Follow) -> None:
    """With the settings of this project."""
    copy = follow(recipe.title)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(copy), "-c", "pyproject.toml"]
    result = _run([sys.executable, "-m", "pytest", *options, *recipe.tests], copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("recipe", _slow(LOADS_A_MODEL - {"A LoRA variant"}))
def test_the_recipe_s_command_prints_what_the_page_says(recipe: Recipe, follow: Follow) -> None:
    """From outside, as a person would look at it."""
    result = _run(["sh", "-ec", recipe.command], follow(recipe.title))
    assert result.returncode == 0, result.stderr
    for line in recipe.printed:
        assert line in result.stdout
