"""The demo's gate lets neither its base nor a broken adapter pass."""

import json
from pathlib import Path

import pytest

from medlora.config import LoraConfig, ModelConfig
from medlora.errors import RejectedError
from medlora.jobs import evaluate
from medlora.jobs.evaluate import EvaluateOptions
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.plan.resolve_run import DEMO, Plan
from tests.tiny import enliven, resolved, save_adapter

pytest.importorskip("medlora.evaluate.safety", reason="the checker is not here")
PROMPTS = 24  # the first, which are emergencies


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The demo's own gate, with shorter answers."""
    suite = DEMO / "careful.jsonl"
    return resolved(
        tmp_path,
        allow_demo=False,
        config=str(DEMO / "demo.yaml"),
        model=str(DEMO / "base"),
        overrides=(f"gate.suites={suite}", "gate.max_new_tokens=32"),
    )


def verdicts(report: Path) -> dict[str, str]:
    """Each rule's verdict."""
    rules = json.loads(report.read_bytes())["gate"]["rules"]
    return {rule["rule"]: rule["verdict"] for rule in rules}


def test_the_base_sends_nobody_to_urgent_care(tmp_path: Path, plan: Plan) -> None:
    """Its answers are fluent, and fail for what they say."""
    report = tmp_path / "report.json"
    with pytest.raises(RejectedError, match="verdict is FAIL"):
        evaluate.run(plan, EvaluateOptions(limit=PROMPTS, output=report))
    assert verdicts(report)["min_escalation"] == "FAIL"
    assert verdicts(report)["max_degenerate"] != "FAIL"


def test_an_adapter_of_random_weights_is_rejected(tmp_path: Path, plan: Plan) -> None:
    """Whatever its words happen to say, no rule about them passes."""
    base = load_base(DEMO / "base", ModelConfig(), half=None)
    model = enliven(attach(base, LoraConfig(r=8), seed=1), size=1.0, seed=1)
    save_adapter(model, tmp_path)
    report = tmp_path / "report.json"
    with pytest.raises(RejectedError, match="verdict is"):
        evaluate.run(plan, EvaluateOptions(tmp_path, limit=PROMPTS, output=report))
    assert verdicts(report)["max_degenerate"] != "PASS"
    assert verdicts(report)["min_escalation"] != "PASS"
