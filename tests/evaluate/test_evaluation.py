"""Base and adapter in one load: what changes is the adapter's doing, and is told with counts."""

import json

import pytest

from medlora import evaluate_suites, read_suite
from medlora.report.evaluation import report_bytes, table
from tests.tiny import enliven


@pytest.fixture
def suites(write_jsonl) -> list:
    """One suite of each kind."""
    rows = {
        "words": [{"text": f"see a doctor {n} soon if it stays"} for n in range(6)],
        "chats": [{"prompt": f"pain {n}", "response": "see a doctor"} for n in range(6)],
        "choices": [
            {"question": f"is it pain {n}", "choices": ["yes", "no"], "answer": n % 2}
            for n in range(6)
        ],
        "pairs": [
            {"prompt": f"rest {n}", "better": "see a doctor", "worse": "no"} for n in range(6)
        ],
        "safety": [
            {"prompt": f"pain {n}", "expect": ["refuse", "escalate", "answer"][n % 3]}
            for n in range(6)
        ],
    }
    return [read_suite(write_jsonl(f"{name}.jsonl", found)) for name, found in rows.items()]


def test_an_adapter_that_changes_nothing_changes_nothing(
    suites, adapted, tokenizer, checker
) -> None:
    """No pair is discordant and p = 1 wherever something is counted; no shift of loss or margin."""
    found = evaluate_suites(adapted(0.0), tokenizer, suites, max_new_tokens=6, checker=checker)
    for name, facts in found.summaries.items():
        change = facts["change"]
        for figures in change.values():
            if "p" in figures:
                counts = (figures["base_only"], figures["adapter_only"], figures["p"])
                assert counts == (0, 0, 1.0), name
                assert figures["low"] < 0 < figures["high"]
            elif "difference" in figures:
                assert (figures["difference"], figures["low"], figures["high"]) == (0, 0, 0)
        if facts["kind"] != "pairs":
            assert facts["base"] == facts["adapter"]


def test_base_and_adapter_are_told_apart(suites, adapted, tokenizer, checker) -> None:
    """The base's figures are those of the base alone; the adapter's are others."""
    model = adapted(0.5)
    found = evaluate_suites(model, tokenizer, suites, max_new_tokens=6, checker=checker)
    alone = evaluate_suites(
        adapted(0.5).unload(), tokenizer, suites, max_new_tokens=6, checker=checker
    )
    for name, facts in found.summaries.items():
        assert facts.get("base") == alone.summaries[name].get("base")
    words = found.summaries["words"]
    assert words["adapter"]["loss"] != words["base"]["loss"]
    assert words["change"]["loss"]["low"] <= words["change"]["loss"]["difference"]
    assert found.summaries["pairs"].keys() == {"kind", "sha256", "rows", "asked", "change"}
    said = list(found.generations())
    assert any(row["base"]["text"] != row["adapter"]["text"] for row in said)


def test_reports_are_the_same_for_any_batch_and_hold_no_text(
    suites, adapted, tokenizer, checker
) -> None:
    """To six digits; prompts and answers are in the generations alone."""
    reports = []
    for batch_size in (1, 16):
        found = evaluate_suites(
            adapted(), tokenizer, suites, max_new_tokens=6, batch_size=batch_size, checker=checker
        )
        facts = {"suites": found.summaries, "gate": None}
        reports.append(report_bytes(facts))
        texts = [row["adapter"]["text"] for row in found.generations()]
    small, large = map(json.loads, reports)
    assert _close(small, large)
    shown = reports[0].decode() + table(facts)
    assert not any(text in shown for text in texts if len(text) > 3)
    assert "pain" not in shown


def _close(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    return one == (pytest.approx(other, abs=1e-4) if isinstance(one, float) else other)


def test_the_trap_of_absolute_preference_is_not_stepped_into(
    write_jsonl, adapted, tokenizer
) -> None:
    """An untrained model prefers whatever is written a certain way; only the change is told."""
    rows = [
        {"prompt": f"{n}", "better": "see a doctor soon", "worse": f"{n * n}"} for n in range(9)
    ]
    suite = read_suite(write_jsonl("pairs.jsonl", rows))
    model = adapted(0.0)
    seen = evaluate_suites(model, tokenizer, [suite])
    (observed,) = seen.observed
    assert sum(margin > 0 for margin in observed["base"].values) not in (4, 5)
    assert seen.summaries["pairs"]["change"]["margin"]["difference"] == 0
    enliven(model)
    changed = evaluate_suites(model, tokenizer, [suite]).summaries["pairs"]["change"]
    assert changed["margin"]["difference"] != 0
    assert changed["risen"]["n"] == 9
