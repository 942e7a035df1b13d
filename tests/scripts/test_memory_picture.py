"""The picture of memory over a long run says what was measured."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts import memory_picture

DRAWN = Path(__file__).parents[2] / "docs/images/memory.svg"
SVG = {"": "http://www.w3.org/2000/svg"}


def test_what_is_in_the_docs_is_drawn_from_the_results() -> None:
    """`make pictures` was run after the last measurement."""
    assert DRAWN.read_text(encoding="utf-8") == memory_picture.draw()


def test_every_measured_step_is_a_point_at_its_place() -> None:
    """Read back from the drawing with the labels of its own axis."""
    root = ET.fromstring(DRAWN.read_text(encoding="utf-8"))  # noqa: S314  (our own)
    heights = {
        one.text: float(one.get("y", "")) - 5
        for one in root.iterfind("text", SVG)
        if one.get("text-anchor") == "end"
    }
    per_mib = (heights["0"] - heights["2,000"]) / 2000
    points = list[tuple[str, int, float]]()
    for circle in root.iterfind("circle", SVG):
        told = circle.findtext("title", namespaces=SVG) or ""
        label, step, mib = re.fullmatch(r"(.*): step ([\d,]+), ([\d,.]+) MiB", told).groups()  # type: ignore[union-attr]
        value = float(mib.replace(",", ""))
        assert abs((heights["0"] - float(circle.get("cy", ""))) / per_mib - value) < 1
        points.append((label, int(step.replace(",", "")), value))
    results = json.loads(memory_picture.MEASURED.read_text(encoding="utf-8"))
    long_run = {int(step): mib for step, mib in results[0]["resident_mib"].items()}
    assert {step: mib for label, step, mib in points if label == "as it is"} == long_run
    assert len({label for label, _, _ in points}) == 4
