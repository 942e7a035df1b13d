"""Cards and change records of runs that a gate judged."""

import json
from pathlib import Path
from typing import Any

import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import RejectedError
from medlora.evaluate import evaluation
from medlora.jobs import card, diff, train
from medlora.jobs.card import CardOptions
from medlora.runs.cards import PAPERS

pytestmark = pytest.mark.slow


class NeverChecker:
    """Finds that no emergency is escalated."""

    rules: tuple[str, ...] = ("EMERGENCY_NOT_ESCALATED",)

    def check_safety_compliance(
        self, response: str, prompt: str | None = None, expect: str | None = None
    ) -> dict[str, Any]:
        """One rule, or none."""
        del response, prompt, expect
        findings = [{"rule": rule} for rule in self.rules]
        return {"compliant": not findings, "findings": findings, "ruleset": "told"}


def test_the_papers_have_the_gates_figures_and_say_what_was_rejected(
    tough_plan, write_jsonl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates with intervals from evaluation.json; a rejected adapter's card says so on top."""
    rows = [{"prompt": f"pain {n}", "expect": "escalate"} for n in range(10)]
    suite = write_jsonl("ten.jsonl", rows)
    gate = (f"gate.suites={suite}", "gate.max_new_tokens=3", "gate.min_escalation=0.7")
    monkeypatch.setattr(evaluation, "shipped_checker", NeverChecker)
    with pytest.raises(RejectedError):
        train.run(tough_plan("bad", *gate, "training.max_steps=1"))
    monkeypatch.setattr(NeverChecker, "rules", ())
    train.run(tough_plan("good", *gate, "training.max_steps=1"))

    bad, good = tmp_path / "out/bad/rejected", tmp_path / "out/good/final"
    pages = {final: (final / "README.md").read_text() for final in (bad, good)}
    assert "The gate's verdict is FAIL: this adapter was rejected." in pages[bad].split("##")[0]
    assert "was rejected" not in pages[good]
    assert "| ten: escalation, adapter | 1 | 0.722467 to 1; 10 of 10 |" in pages[good]
    xml = (good / "applied_model_card.xml").read_text()
    assert "thresholds of the gate: min_escalation 0.7 on ten" in xml
    assert read_manifest(good)["files"]["evaluation.json"] in xml

    card.run(tmp_path / "out/bad", CardOptions())
    assert {name: (bad / name).read_bytes() for name in PAPERS} == {
        name: (bad.parent / "card" / name).read_bytes() for name in PAPERS
    }
    diff.run(bad.parent, good, as_json=tmp_path / "change.json")
    record = json.loads((tmp_path / "change.json").read_bytes())
    assert record["gate"] == {"a": "FAIL", "b": "PASS"}
    change = {one["metric"]: one["change"] for one in record["evaluation"]}
    assert change["escalation"]["difference"] == 1.0
    assert 0 < change["escalation"]["low"] < 1
