"""report.html in a real browser: silent, alone, right to the digit, for hand, eye and ear.

Screenshots go to the folder that MEDLORA_SCREENSHOTS names, for people to look at.
"""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from medlora.jobs import report, train
from medlora.jobs.report import ReportOptions
from tests.tiny import run_plan

pytestmark = pytest.mark.slow
SHOTS = os.environ.get("MEDLORA_SCREENSHOTS")  # before a test's clean environment
DESK, HAND = {"width": 1200, "height": 900}, {"width": 390, "height": 800}


@pytest.fixture
def run(tmp_path: Path, data_file: Path, base_folder: Path) -> Callable[..., Path]:
    """Train a run of a few steps; return its folder."""

    def make(name: str, *overrides: str) -> Path:
        settings = (
            "training.num_train_epochs=6",
            "training.per_device_train_batch_size=2",
            "training.gradient_accumulation_steps=1",
            "training.warmup_steps=2",
            "training.logging_steps=1",
            "training.eval_steps=5",
            "training.generation_steps=10",
            "training.save_steps=100",
            "data.eval_fraction=0.2",
            "lora.r=4",
            f"run_name={name}",
        )
        train.run(run_plan(tmp_path, *settings, *overrides, data=data_file, base=base_folder))
        return tmp_path / "out" / name

    return make


def metrics(run: Path, kind: str, field: str) -> list[tuple[int, float]]:
    """What a run's metrics.jsonl has of a metric."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [
        (r["step"], r[field]) for r in records if r["kind"] == kind and r.get(field) is not None
    ]


def shoot(page: Any, name: str) -> None:
    """Keep a picture if somebody wants to look at it."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def test_one_run_in_every_light(run: Callable[..., Path], open_page: Callable[..., Any]) -> None:
    """No word on the console, no request but the file, numbers of the file, nothing cut off."""
    folder = run("one")
    page_file = folder / "report.html"
    assert page_file.stat().st_size < 1_000_000
    backgrounds = set()
    for name, options in {
        "light": {"color_scheme": "light", "viewport": DESK},
        "dark": {"color_scheme": "dark", "viewport": DESK},
        "narrow": {"viewport": HAND},
    }.items():
        opened = open_page(page_file, **options)
        page = opened.page
        shoot(page, f"one-{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert opened.noise == []
        assert opened.requests == [page_file.as_uri()]
    assert len(backgrounds) == 2
    _values_are_the_files(page, folder)
    _keyboard_reads_and_zooms(page, folder)
    assert opened.noise == []


def _values_are_the_files(page: Any, folder: Path) -> None:
    """The table of points, opened as a person does it, has each number of the file."""
    for anchor, kind, field, scale in (
        ("loss", "train", "loss", 1),
        ("rate", "train", "learning_rate", 1),
        ("memory", "train", "memory_bytes", 1 << 30),
    ):
        figure = page.locator(f"#chart-{anchor}")
        figure.locator("details.all > summary").click()
        figure.locator(".values tbody tr").first.wait_for()
        shown = [(int(row[0]), float(row[1])) for row in _rows(page, anchor) if row[1]]
        assert shown == [(step, value / scale) for step, value in metrics(folder, kind, field)]
    shown = [(int(row[0]), float(row[2])) for row in _rows(page, "loss") if row[2]]
    assert shown == metrics(folder, "eval", "eval_loss")


def _rows(page: Any, anchor: str) -> list[list[str]]:
    found: list[list[str]] = page.locator(f"#chart-{anchor} .values tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return found


def _keyboard_reads_and_zooms(page: Any, folder: Path) -> None:
    """Arrow keys say each point, + and - zoom, 0 shows all again."""
    plot = page.locator("#chart-loss .plot")
    plot.focus()
    page.keyboard.press("End")
    step, loss = metrics(folder, "train", "loss")[-1]
    told = plot.get_attribute("aria-valuetext")
    assert told.startswith(
        f"step {step}: training {loss:.6g}"[: len(f"step {step}: training ") + 5]
    )
    assert plot.get_attribute("role") == "slider"
    ticks = page.locator("#chart-loss .across").all_text_contents()
    page.keyboard.press("+")
    assert page.locator("#chart-loss .across").all_text_contents() != ticks
    assert int(plot.get_attribute("aria-valuemin")) > 0
    page.keyboard.press("0")
    assert page.locator("#chart-loss .across").all_text_contents() == ticks


def test_three_runs_side_by_side(
    run: Callable[..., Path], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    """Each curve of each run under the mouse; a drag zooms; the button changes the light."""
    folders = [run(name, f"training.seed={seed}") for seed, name in enumerate(("a", "b", "c"))]
    file = tmp_path / "all.html"
    report.run(folders, ReportOptions(output=file))
    assert file.stat().st_size < 1_000_000
    opened = open_page(file, viewport=DESK, color_scheme="light")
    page = opened.page
    shoot(page, "three-light")
    plot = page.locator("#chart-loss .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator("#chart-loss .tip")
    step = int(tip.locator("p").first.text_content().removeprefix("step "))
    raw = [
        float(one)
        for one in tip.locator("[data-raw]").evaluate_all("all => all.map(one => one.dataset.raw)")
    ]
    expected = [dict(metrics(one, "train", "loss"))[step] for one in folders]
    assert raw[:3] == expected

    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert int(plot.get_attribute("aria-valuemin")) == step
    shoot(page, "three-zoomed")
    page.get_by_role("button", name="Show all: Loss").click()
    assert int(plot.get_attribute("aria-valuemin")) == 0

    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    shoot(page, "three-dark")
    assert opened.noise == []
    assert opened.requests == [file.as_uri()]


def test_the_page_is_whole_without_its_script_and_on_paper(
    run: Callable[..., Path], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    """Curves are drawn and told in words without a script; paper is white and has no buttons."""
    file = run("one") / "report.html"
    still = open_page(file, java_script_enabled=False).page
    assert still.locator("#chart-loss .lines path").count() == 2
    assert "training: " in still.locator("#s-loss").text_content()
    assert not still.locator("#theme").is_visible()
    opened = open_page(file, color_scheme="dark", viewport=DESK)
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert not opened.page.locator(".controls").first.is_visible()
    assert not opened.page.locator("nav").is_visible()
    paper = opened.page.pdf()
    assert paper.startswith(b"%PDF")
    if SHOTS:
        Path(f"{SHOTS}/one.pdf").write_bytes(paper)


def test_ears_and_keys_find_their_way(
    run: Callable[..., Path], open_page: Callable[..., Any]
) -> None:
    """Headings in order, every control has a name, every table a caption, no id twice."""
    page = open_page(run("one") / "report.html").page
    found = page.evaluate(
        """() => ({
          levels: [...document.querySelectorAll("h1,h2,h3")].map((h) => Number(h.tagName[1])),
          unnamed: [...document.querySelectorAll("button,[role=slider],[role=region]")]
            .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")
              || e.textContent.trim())).length,
          tables: [...document.querySelectorAll("main table")]
            .filter((t) => !t.caption || !t.querySelector("th[scope]")).length,
          ids: [...document.querySelectorAll("[id]")].map((e) => e.id),
          broken: [...document.querySelectorAll("a[href^='#']")]
            .filter((a) => !document.getElementById(a.hash.slice(1))).length,
          lang: document.documentElement.lang,
        })"""
    )
    levels = found["levels"]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert found["unnamed"] == found["tables"] == found["broken"] == 0
    assert len(found["ids"]) == len(set(found["ids"]))
    assert found["lang"] == "en"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert _worst_contrast(page) >= 4.5


def _worst_contrast(page: Any) -> float:
    """The least contrast of the page's text colors to its papers.  Source: WCAG 2.2, 1.4.3."""
    ratio: float = page.evaluate(
        """() => {
          const shade = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const worst = [];
          for (const theme of ["light", "dark"]) {
            document.documentElement.dataset.theme = theme;
            const style = getComputedStyle(document.documentElement);
            const color = (name) => style.getPropertyValue(name).trim();
            for (const ink of ["--ink", "--quiet", "--link", "--good", "--bad", "--unsure",
                "--c0", "--c1", "--c2", "--c3", "--c4", "--c5"]) {
              for (const paper of ["--paper", "--panel"]) {
                const [a, b] = [shade(color(ink)), shade(color(paper))].sort((x, y) => y - x);
                worst.push((a + 0.05) / (b + 0.05));
              }
            }
          }
          return Math.min(...worst);
        }"""
    )
    return ratio
