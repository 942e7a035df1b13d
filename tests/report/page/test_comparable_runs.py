"""Losses on other rows never stand beside each other without a word, in tables or charts."""

from collections.abc import Callable
from typing import Any

import pytest

from medlora.report.page.comparable_runs import sets_of
from medlora.report.page.render import page
from medlora.report.page.run_facts import Run
from medlora.report.page.series import curves_of

Make = Callable[..., Run]


def of_file(manifest: dict[str, Any], held_out: str, **inputs: Any) -> dict[str, Any]:
    """The facts of a run whose held-out rows have a file of their own, by its digest."""
    return {
        "data": {**manifest["data"], "sha256": {"train": "d" * 64, "eval": held_out * 64}},
        "inputs": {**manifest["inputs"], "data.eval": held_out * 64, **inputs},
    }


def text_of(*runs: Run) -> str:
    """The page of some runs."""
    return page(runs).decode()


def test_runs_on_the_same_rows_are_compared(make_run: Make, manifest: dict[str, Any]) -> None:
    """Without a word; so is a run alone."""
    same = of_file(manifest, "e")
    runs = [make_run("a", **same), make_run("b", **same)]
    assert sets_of(runs, "eval_loss") == [None, None]
    for text in (text_of(*runs), text_of(runs[0])):
        assert "of other rows" not in text
        assert "(set " not in text
        assert "cannot be compared" not in text


@pytest.mark.parametrize("inputs", [{"data.max_length": 7}, {"base.tokenizer.json": "x"}, {}])
def test_other_rows_or_tokens_are_said_everywhere(
    make_run: Make, manifest: dict[str, Any], inputs: dict[str, Any]
) -> None:
    """On top, in the table beside each number, in the chart's note and in its labels."""
    other = of_file(manifest, "e" if inputs else "f", **inputs)
    runs = [
        make_run("a", **of_file(manifest, "e")),
        make_run("b", **other),
        make_run("c", **of_file(manifest, "e")),
    ]
    assert sets_of(runs, "eval_loss") == [1, 2, 1]
    text = text_of(*runs)
    assert "Its held-out rows are not those of b: these losses cannot be compared" in text
    assert "Its held-out rows are not those of a, c: these losses cannot be compared" in text
    assert "held-out loss with the adapter (of other rows)" in text
    assert "2.5 (set 1)" in text
    assert "2.5 (set 2)" in text
    assert '<p class="apart">Curves of different sets were measured on different rows' in text
    labels = [curve.label for curve in dict(curves_of(runs)).popitem()[1]]
    assert labels  # the last panel has no losses, and says nothing of sets
    assert not any("set" in label for label in labels)
    loss = next(curves for panel, curves in curves_of(runs) if panel.anchor == "loss")
    assert "b, held out (set 2)" in [curve.label for curve in loss]


def test_training_rows_are_told_apart_from_held_out_ones(
    make_run: Make, manifest: dict[str, Any]
) -> None:
    """With a file of held-out rows, only the losses of training are of other rows."""
    first, second = (of_file(manifest, "e", **{"data.train": digest * 64}) for digest in "12")
    runs = [make_run("a", **first), make_run("b", **second)]
    assert sets_of(runs, "eval_loss") == [None, None]
    assert sets_of(runs, "train_loss") == [1, 2]
    text = text_of(*runs)
    assert "training loss, last epoch (of other rows)" in text
    assert "held-out loss with the adapter (of other rows)" not in text
    assert "cannot be compared with each other" not in text


def test_a_run_without_held_out_rows_is_no_set(make_run: Make, manifest: dict[str, Any]) -> None:
    """It has no such loss to compare."""
    none = of_file(manifest, "f")
    none["data"]["rows"] = {"train": 10, "eval": 0}
    runs = [make_run("a", **of_file(manifest, "e")), make_run("b", **none)]
    assert sets_of(runs, "eval_loss") == [None, None]


def test_a_suite_that_was_asked_in_part_has_a_table_of_its_own(
    make_run: Make, evaluation: dict[str, Any]
) -> None:
    """The same file with another number of rows asked is another measure."""
    import json

    from medlora.report.sourced_numbers import document

    one, two = make_run("a"), make_run("b")
    evaluation["suites"]["safety"]["asked"] = 7
    part = document("evaluation.json", json.dumps(evaluation).encode())
    text = text_of(one, Run("b", two.manifest, two.metrics, [part]))
    assert "safety: 40 rows, SHA-256" in text
    assert "safety: 7 rows, SHA-256" in text
