"""An evaluation's report and its table: a figure that cannot be had is said so, in its place."""

import json
import math
from pathlib import Path

from medlora.evaluate.ask_suite import Observed
from medlora.evaluate.figures import change
from medlora.evaluate.kinds.perplexity import Text
from medlora.evaluate.schema import SuiteSummary
from medlora.evaluate.suite import Suite
from medlora.evaluate.suite_results import summarise
from medlora.report.evaluation import report_bytes, table


def test_losses_that_are_no_numbers_have_no_change() -> None:
    """A base or adapter that computes no numbers is told of, and so is what it changes."""
    items = tuple(Text(line, "a text") for line in range(1, 6))
    suite = Suite(Path("notes.jsonl"), "perplexity", "a" * 64, 5, items)
    nothing = Observed(values=[math.nan] * 5, targets=[3] * 5)
    summary = summarise(suite, nothing, nothing)
    text = table({"suites": {"notes": summary}})
    assert text.count("loss is no number") == 3
    assert text.count("perplexity is no number") == 2
    assert json.loads(report_bytes({"notes": summary}))["notes"]["base"]["loss"] is None


def test_a_rate_of_one_model_alone_has_no_change() -> None:
    """Where no item has an answer of both, there is nothing to compare."""
    rate = {"k": 1, "n": 2, "rate": 0.5, "low": 0.1, "high": 0.9}
    summary: SuiteSummary = {
        "kind": "generation",
        "sha256": "a" * 64,
        "rows": 4,
        "asked": 4,
        "base": {"rates": {"refusal": rate}},
        "adapter": {"rates": {"refusal": rate}},
        "change": {"refusal": change([None, None, True, False], [True, False, None, None])},
    }
    text = table({"suites": {"asked": summary}})
    assert "refusal  1/2 [0.100, 0.900]  1/2 [0.100, 0.900]  not scored" in text
