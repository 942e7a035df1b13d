"""Draw docs/images/floors.svg: the packages of medlora, one below the other, and who imports whom.

The floors are those of the import contract in pyproject.toml, the imports those that grimp, which
import-linter is built on, finds in the code.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).parents[1]
PACKAGE = "medlora"
WIDTH, ROW, LEFT, TOP = 790, 26, 290, 130
_STYLE = "font-family:system-ui,sans-serif;font-size:14px"
_LARGEST = 10.0  # radius of a dot, pixels


class Floor(NamedTuple):
    """A package or module of the first level."""

    name: str
    modules: int
    lines: int


def floors() -> list[Floor]:
    """Return the floors of the contract, the topmost first; those that share a layer in a row."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    names = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    return [_measured(name) for name in names]


def _measured(name: str) -> Floor:
    place = ROOT / PACKAGE / name
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    return Floor(name, len(files), lines)


def imports() -> Counter[tuple[str, str]]:
    """Return how many imports lead from one floor to another, {(from, to): count}."""
    graph, counts = grimp.build_graph(PACKAGE), Counter[tuple[str, str]]()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = (_floor(module), _floor(imported))
            if pair[0] != pair[1] and all(pair):
                counts[pair] += 1
    return counts


def _floor(module: str) -> str:
    return module.removeprefix(PACKAGE).strip(".").partition(".")[0]


def drawn(building: Sequence[Floor], counts: Mapping[tuple[str, str], int]) -> str:
    """Return the picture as SVG: a row a floor, a column a floor that is imported."""
    height = TOP + ROW * len(building) + 16
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" style="{_STYLE}">',
        "<title>The packages of MedLoRA and who imports whom</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        _text(16, TOP - 14, "package", fill="#4a4a4a"),
        _text(LEFT - 130, TOP - 14, "modules, lines", fill="#4a4a4a"),
    ]
    most = max(counts.values())
    across = {floor.name: LEFT + 24 + 21 * index for index, floor in enumerate(building)}
    for name, x in across.items():
        parts.append(_text(x + 5, TOP - 14, name, turn=f"rotate(-60 {x + 5} {TOP - 14})"))
    for index, floor in enumerate(building):
        y = TOP + ROW * index + ROW // 2
        parts.append(f'<path d="M16 {y + 13}H{WIDTH - 16}" stroke="#e3e3e3"/>')
        parts.append(_text(16, y + 5, floor.name))
        parts.append(_text(LEFT - 130, y + 5, f"{floor.modules}, {floor.lines:,}"))
        for name, x in across.items():
            if count := counts.get((floor.name, name), 0):
                radius = max(2.0, _LARGEST * (count / most) ** 0.5)
                parts.append(
                    f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="#0b57d0">'
                    f"<title>{floor.name} imports {name}: {count}</title></circle>"
                )
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, words: str, *, fill: str = "#1f1f1f", turn: str = "") -> str:
    turned = f' transform="{turn}"' if turn else ""
    return f'<text x="{x}" y="{y}" fill="{fill}"{turned}>{escape(words)}</text>'


def draw() -> str:
    """Return the picture of the code as it is."""
    return drawn(floors(), imports())
