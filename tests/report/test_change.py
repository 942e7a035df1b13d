"""The record of a change: what differs, by digest and by interval, and nothing that does not."""

import json
from typing import Any

import pytest

from medlora.report.change import Side, change_record
from medlora.report.change_page import as_page, as_table
from medlora.report.human_statements import Statements
from medlora.report.sourced_numbers import document


def side(
    manifest: dict[str, Any], evaluation: dict[str, Any] | None = None, **facts: object
) -> Side:
    """A run with these facts replaced."""
    report = document("evaluation.json", json.dumps(evaluation).encode()) if evaluation else None
    return Side({**manifest, **facts}, "a" * 64, report)


def test_a_run_and_itself_do_not_differ(
    manifest: dict[str, Any], evaluation: dict[str, Any]
) -> None:
    """All lists are empty and every difference is 0."""
    record = change_record(side(manifest, evaluation), side(manifest, evaluation))
    assert record["same_adapter"]
    assert record["config"] == []
    assert record["software"] == record["hardware"] == record["seeds"] == {}
    assert not record["base"]["changed"]
    assert not record["data"]["files"]["train"]["changed"]
    assert record["data"]["counts"] == {}
    assert {one["difference"] for one in record["losses"]} == {0.0}
    assert {one["change"]["difference"] for one in record["evaluation"]} == {0.0}
    assert "No difference." in as_page(record).decode()


def test_config_keys_have_both_values_and_origins(manifest: dict[str, Any]) -> None:
    """And whether they decide the adapter; a key that one of them does not know counts."""
    config = {
        "run_name": {"value": "two", "origin": "run.yaml:1"},
        "lora.r": {"value": 8, "origin": "run.yaml:3"},
        "new.key": {"value": 1, "origin": "default"},
    }
    record = change_record(side(manifest), side(manifest, config=config))
    found = {one["key"]: one for one in record["config"]}
    assert found["lora.r"]["a"] == {"value": 4, "origin": "option --set lora.r"}
    assert found["lora.r"]["b"] == {"value": 8, "origin": "run.yaml:3"}
    assert found["lora.r"]["decides_the_adapter"]
    assert not found["run_name"]["decides_the_adapter"]
    assert found["new.key"]["a"] is None
    page = as_page(record).decode()
    assert "| lora.r | 4 (option --set lora.r) | 8 (run.yaml:3) | yes |" in page
    assert "| new.key | none (not known then) | 1 (default) | no |" in page


def test_data_differs_by_digest_and_counts(manifest: dict[str, Any]) -> None:
    """A file by its SHA-256; counts only where they differ; losses of other rows stand apart."""
    data = json.loads(json.dumps(manifest["data"]))
    data["sha256"] = {"train": "f" * 64}
    data["rows"]["train"] = 12
    data["privacy"]["files"]["train"]["counts"] = {"DATE": 7, "PHONE": 1}
    inputs = {**manifest["inputs"], "data.train": "f" * 64}
    record = change_record(side(manifest), side(manifest, data=data, inputs=inputs))
    assert record["data"]["files"]["train"] == {"a": "d" * 64, "b": "f" * 64, "changed": True}
    assert record["data"]["counts"] == {
        "data rows train": {"a": 10, "b": 12, "changed": True},
        "data privacy files train counts PHONE": {"a": None, "b": 1, "changed": True},
    }
    assert {one["difference"] for one in record["losses"]} == {None}
    assert "eval_loss (of other rows)" in as_table(record)


@pytest.mark.parametrize(
    ("key", "value"), [("training.seed", 7), ("data.max_length", 32), ("base.tokenizer.json", "x")]
)
def test_losses_are_compared_on_the_same_tokens_alone(
    manifest: dict[str, Any], key: str, value: object
) -> None:
    """Another seed holds other rows out; another limit or tokenizer makes other tokens."""
    other = side(manifest, inputs={**manifest["inputs"], key: value})
    assert not any(one["same_rows"] for one in change_record(side(manifest), other)["losses"])


def test_a_file_of_held_out_rows_does_not_change_with_the_seed(manifest: dict[str, Any]) -> None:
    """With it, the held-out loss may be compared although the training rows differ."""
    data = {**manifest["data"], "sha256": {"train": "d" * 64, "eval": "e" * 64}}
    first = {**manifest["inputs"], "data.eval": "e" * 64}
    second = {**first, "training.seed": 7, "data.train": "f" * 64}
    record = change_record(
        side(manifest, data=data, inputs=first), side(manifest, data=data, inputs=second)
    )
    same = {one["metric"]: one["same_rows"] for one in record["losses"]}
    assert same == {
        "train_loss": False,
        "base_eval_loss": True,
        "eval_loss": True,
        "best_eval_loss": True,
    }


def test_rates_differ_by_an_interval(manifest: dict[str, Any], evaluation: dict[str, Any]) -> None:
    """Newcombe's own example, 56 of 70 against 48 of 80: 0.2, from 0.0524 to 0.3339."""
    a, b = (json.loads(json.dumps(evaluation)) for _ in range(2))
    rates = {
        "a": {"k": 48, "n": 80, "rate": 0.6, "low": 0.490396, "high": 0.700427},
        "b": {"k": 56, "n": 70, "rate": 0.8, "low": 0.691827, "high": 0.876881},
    }
    a["suites"]["safety"]["adapter"]["rates"] = {"escalation": rates["a"]}
    b["suites"]["safety"]["adapter"]["rates"] = {"escalation": rates["b"]}
    (row,) = change_record(side(manifest, a), side(manifest, b))["evaluation"]
    assert row["change"]["difference"] == pytest.approx(0.2)
    assert row["change"]["low"] == pytest.approx(0.0524, abs=1e-4)
    assert row["change"]["high"] == pytest.approx(0.3339, abs=1e-4)

    b["suites"]["safety"]["sha256"] = "0" * 64
    record = change_record(side(manifest, a), side(manifest, b))
    assert record["evaluation"][0]["change"] is None
    assert "other prompts" in as_page(record).decode()


def test_what_people_say_of_the_change_is_theirs(manifest: dict[str, Any]) -> None:
    """The sections of a change control plan; NOT PROVIDED until stated of the later run."""
    gate = {"verdict": "FAIL", "rules": []}
    b = Side({**manifest, "gate": gate}, "b" * 64)
    page = as_page(change_record(side(manifest), b)).decode()
    for title in ("Description of modifications", "Modification protocol", "Impact assessment"):
        assert f"\n## {title}\n" in page
    assert page.count("NOT PROVIDED") == 4  # reason, impact, procedure, evaluations
    assert "| gate | PASS | FAIL |" in page
    said = Statements({"change_reason": "more rows", "change_impact": "none"}, "e" * 64)
    b = Side(manifest, "b" * 64, None, said)
    page = as_page(change_record(side(manifest), b)).decode()
    assert "more rows" in page
    assert "| b: statements | " + "e" * 64 in page


def test_what_people_say_of_a_change_forges_nothing(manifest: dict[str, Any]) -> None:
    """No heading, tag, link or image; on a terminal no line and no colour."""
    forged = "# Approved\n<b>by</b> [us](x) ![](y)"
    said = Statements({"change_reason": forged, "update_procedure": forged}, "e" * 64)
    record = change_record(
        side(manifest), Side({**manifest, "run_name": "a\x1b[2J\nb"}, "b" * 64, None, said)
    )
    page = as_page(record).decode()
    assert "\n\\# Approved\n&lt;b>by&lt;/b> \\[us\\](x) !\\[\\](y)" in page
    assert "| # Approved &lt;b>by" in page
    assert r"a\x1b[2J\nb" in as_table(record)
