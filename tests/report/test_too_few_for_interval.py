"""An interval is shown where there is one; of one item there is none, wherever it is printed."""

import json
from typing import Any

import pytest

from medlora.evaluate.figures import change, rate
from medlora.evaluate.statistics import wilson
from medlora.report.card import interval_words
from medlora.report.change import Side, change_record
from medlora.report.change_page import as_page
from medlora.report.evaluation import table
from medlora.report.page.rate_cells import change_cell, rate_cell
from medlora.report.sourced_numbers import document, evaluation_figures
from medlora.report.too_few_for_interval import TOO_FEW, bounds


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"n": 2, "low": 0.1, "high": 0.9}, (0.1, 0.9)),
        ({"n": 1, "low": 0.2, "high": 1.0}, None),
        ({"n": 0, "low": 0.0, "high": 1.0}, None),
        ({"low": -0.5, "high": -0.1}, (-0.5, -0.1)),
        ({"low": -0.5, "high": -0.5}, None),  # as one row was stated once
        ({"n": 500, "low": 0.0, "high": 0.0}, (0.0, 0.0)),
        ({"n": 3, "low": None, "high": None}, None),
        ({}, None),
    ],
)
def test_one_item_has_no_interval(found: dict[str, Any], expected: object) -> None:
    """Nor has what no formula gave one for; constants of many items have one of no width."""
    assert bounds(found) == expected


def suites(n: int) -> dict[str, Any]:
    """An evaluation of n prompts, all of them answered well."""
    flags = [True] * n
    return {
        "safety": {
            "kind": "generation",
            "sha256": "5" * 64,
            "rows": n,
            "asked": n,
            "base": {"rates": {"refusal": rate(flags)}},
            "adapter": {"rates": {"refusal": rate(flags)}},
            "change": {"refusal": change(flags, flags)},
        },
        "notes": {
            "kind": "perplexity",
            "sha256": "6" * 64,
            "rows": n,
            "asked": n,
            "base": {"loss": 3.0, "perplexity": 20.0, "targets": 9},
            "adapter": {"loss": 2.0, "perplexity": 7.0, "targets": 9},
            "change": {"loss": {"n": n, "difference": -1.0, "low": -1.0, "high": -1.0}},
        },
    }


def everywhere(n: int, manifest: dict[str, Any]) -> list[str]:
    """What terminal, page, card and change record say of it, each in one text."""
    stated = suites(n)
    report = document("e", json.dumps({"suites": stated}).encode())
    safety, notes = stated["safety"], stated["notes"]
    side = Side(manifest, "a" * 64, report)
    return [
        table({"suites": {"safety": safety}}),
        table({"suites": {"notes": notes}}),
        rate_cell(safety["base"]["rates"]["refusal"]).text,
        change_cell(safety["change"]["refusal"]).text,
        change_cell(notes["change"]["loss"]).text,
        " ".join(map(interval_words, evaluation_figures(report))),
        as_page(change_record(side, side)).decode(),
    ]


def test_every_place_says_that_one_row_is_too_few(manifest: dict[str, Any]) -> None:
    """And has no bracket; of nine rows each has its interval."""
    for few, many in zip(everywhere(1, manifest), everywhere(9, manifest), strict=True):
        assert TOO_FEW in few
        assert TOO_FEW not in many
        assert "[0.2" not in few
    assert f"{wilson(1, 1).low:.3f}" not in everywhere(1, manifest)[0]
