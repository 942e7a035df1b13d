"""What the code keeps to: tests come in by the public door, and a name says what it holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "medlora"
# A signal or a fault must be able to come anywhere, so those tests name places inside.
INSIDE = TESTS / "torture"
_NAME = re.compile(r"[A-Za-z_][\w.]*")
# They say how something came, not what it is: a path, a match, a parameter, a message.
VAGUE = {"found", "one", "said", "told"}


def is_private(name: str) -> bool:
    """Whether a name is for its own module."""
    return len(name) > 1 and name.startswith("_") and not name.endswith("__")


def private_names() -> set[str]:
    """All such names that the package defines."""
    names = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                    names.add(name)
    return set(filter(is_private, names))


def patched(source: str, private: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name of what a test replaces inside the package.

    Whoever replaces a name gives it as a text (to `monkeypatch.setattr`, or in a table of such
    calls), or assigns to an attribute.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if _NAME.fullmatch(text):
                yield from ((node.lineno, name) for name in text.split(".") if name in private)
            case ast.Attribute(value=owner, attr=name, ctx=ast.Store() | ast.Del()):
                own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
                if name in private and not own:
                    yield node.lineno, name


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('monkeypatch.setattr(loop, "_clip", f)', ["_clip"]),
        ('monkeypatch.setattr("medlora.train.loop._clip", f)', ["_clip"]),
        ('POINTS = {"a": (loop, "_clip", 3)}', ["_clip"]),
        ("loop._clip = f", ["_clip"]),
        ("del loop._clip", ["_clip"]),
        ("self._clip = loop.clip", []),
        ('"what _clip does"', []),
        ('monkeypatch.setattr(loop, "learning_rate", f)', []),
    ],
)
def test_a_private_name_is_seen_however_it_is_replaced(source: str, names: list[str]) -> None:
    """As a text, alone, with dots or in a table, and as an attribute; not in a sentence."""
    assert [name for _, name in patched(source, {"_clip"})] == names


def test_no_test_replaces_a_private_name() -> None:
    """What a test has to replace gets a public name, or the test another door."""
    private = private_names()
    assert "_clip" in private
    own = {"test_house.py"}
    bad = []
    for file in sorted(TESTS.rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        named = private.intersection(re.findall(r"\b_\w+", source))  # else nothing to parse for
        if named and INSIDE not in file.parents and file.name not in own:
            place = file.relative_to(TESTS.parent)
            bad += [f"{place}:{line}: {name}" for line, name in patched(source, named)]
    assert bad == []


def vague(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each variable, argument or attribute that does not say what it is."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
                | ast.arg(arg=name)
                | ast.FunctionDef(name=name)
                | ast.ExceptHandler(name=name)
                | ast.MatchAs(name=name)
                | ast.MatchStar(name=name)
                | ast.MatchMapping(rest=name)
            ) if name and name.strip("_") in VAGUE:
                yield node.lineno, name


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("found = 1", ["found"]),
        ("found: int = 1", ["found"]),
        ("a, (one, *told) = b", ["one", "told"]),
        ("if (found := f()): pass", ["found"]),
        ("for one in a: pass", ["one"]),
        ("with a as one: pass", ["one"]),
        ("[one for one in a]", ["one"]),
        ("lambda one: one", ["one"]),
        ("def f(said, *told, found=1, **one): pass", ["said", "found", "told", "one"]),
        ("class A:\n    found: int", ["found"]),
        ("class A:\n    @property\n    def found(self): pass", ["found"]),
        ("self._found = 1", ["_found"]),
        ("try: pass\nexcept E as told: pass", ["told"]),
        ("match a:\n    case {'a': one, **told}: pass", ["told", "one"]),
        ("match a:\n    case [*one]: pass", ["one"]),
        ("found_base = one_text = 'found one'", []),
        ("print(one.found)", []),
    ],
)
def test_a_vague_name_is_seen_wherever_it_is_given(source: str, names: list[str]) -> None:
    """To a variable, an argument, an attribute or a capture; its use says nothing more."""
    assert sorted(name for _, name in vague(source)) == sorted(names)


def test_names_say_what_they_hold() -> None:
    """A path, a match or a parameter is called so."""
    bad = [
        f"{file.relative_to(TESTS.parent)}:{line}: {name}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, name in vague(file.read_text(encoding="utf-8"))
    ]
    assert bad == []
