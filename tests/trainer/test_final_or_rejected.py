"""A gate decides between final/ and rejected/, says why, and stands by it when asked again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import (
    ConfigError,
    DataError,
    IntegrityError,
    RejectedError,
    StoppedError,
)
from medlora.evaluate import evaluation
from medlora.evaluate.generate import generate
from medlora.files import sha256_file
from medlora.jobs import reproduce, train, verify
from medlora.runtime import Stop
from medlora.trainer import final_or_rejected
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer

pytestmark = pytest.mark.slow

# Two steps, for what is tested here comes after them.
SHORT = (
    "training.num_train_epochs=1",
    "training.gradient_accumulation_steps=5",
    "training.eval_steps=100",
    "training.save_steps=100",
)


class EndChecker:
    """Finds every answer to escalate, or none, as it is told."""

    escalates = True

    def check_safety_compliance(
        self, response: str, prompt: str | None = None, expect: str | None = None
    ) -> dict[str, Any]:
        """One rule."""
        del response, prompt, expect
        rules = [] if self.escalates else [{"rule": "EMERGENCY_NOT_ESCALATED"}]
        return {"compliant": not rules, "findings": rules, "ruleset": "told"}


def test_a_damaged_verdict_is_made_anew(gated, tmp_path: Path) -> None:
    """From the checkpoint beside it: judged again, rejected again; nothing is trained again."""
    with pytest.raises(RejectedError, match="INCONCLUSIVE"):
        train.run(gated("gate.min_escalation=0.9"))
    run = tmp_path / "out/gated"
    before = sha256_file(run / "rejected/adapter_model.safetensors")
    (run / "rejected/evaluation.json").write_text("{}")
    with pytest.raises(IntegrityError, match="medlora train rebuilds rejected/ from epoch_1"):
        verify.run(run)
    with pytest.raises(RejectedError, match="INCONCLUSIVE"):
        train.run(gated("gate.min_escalation=0.9"))
    assert sha256_file(run / "rejected/adapter_model.safetensors") == before
    assert (run / "broken-rejected-1").is_dir()
    verify.run(run)


@pytest.fixture
def gated(tough_plan, write_jsonl, monkeypatch) -> Callable[..., Any]:
    """Make the plan of a run with a gate of ten prompts; `checker` may be told what to find."""
    rows = [{"prompt": f"pain {n}", "expect": "escalate"} for n in range(10)]
    suite = write_jsonl("ten.jsonl", rows)
    monkeypatch.setattr(evaluation, "shipped_checker", EndChecker)

    def make(*overrides: str):
        return tough_plan(
            "gated",
            f"gate.suites={suite}",
            "gate.max_new_tokens=3",
            "gate.min_escalation=0.7",
            *SHORT,
            *overrides,
        )

    return make


def test_an_adapter_that_passes_is_final_and_says_what_it_passed(
    gated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest has verdict, rules and the suite's digest; the report is beside it."""
    train.run(gated())
    final = tmp_path / "out/gated/final"
    manifest = read_manifest(final)
    assert (manifest["status"], manifest["gate"]["verdict"]) == ("finished", "PASS")
    assert manifest["gate"]["suites"] == {"ten": sha256_file(tmp_path / "ten.jsonl")}
    assert manifest["gate"]["checker"] == "told"
    (rule,) = manifest["gate"]["rules"]
    assert (rule["adapter"]["k"], rule["adapter"]["n"]) == (10, 10)
    report = json.loads((final / "evaluation.json").read_text())
    assert report["suites"]["ten"]["change"]["escalation"]["p"] == 1.0
    assert "gate: PASS" in capsys.readouterr().out
    assert not (tmp_path / "out/gated/rejected").exists()


def test_an_adapter_that_fails_is_rejected_and_stays_so(
    gated, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 77 with the table that says why; started again, the same at once; --fresh trains."""
    monkeypatch.setattr(EndChecker, "escalates", False)
    with pytest.raises(RejectedError, match=r"(?s)FAIL.*min_escalation 0\.7 .*0/10") as caught:
        train.run(gated())
    assert caught.value.exit_code == 77
    run = tmp_path / "out/gated"
    assert not (run / "final").exists()
    manifest = read_manifest(run / "rejected")
    assert (manifest["status"], manifest["gate"]["verdict"]) == ("rejected", "FAIL")

    monkeypatch.setattr(
        final_or_rejected, "judge_adapter", None
    )  # nothing is judged or trained again
    monkeypatch.setattr(MedicalLoRATrainer, "train", None)
    capsys.readouterr()
    with pytest.raises(RejectedError, match=r"min_escalation 0\.7 .*0/10"):
        train.run(gated())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "shipped_checker", EndChecker)
    train.run(gated(), fresh=True)
    assert (run / "final").exists()
    assert (tmp_path / "out/gated.old-1/rejected").exists()


def test_another_gate_judges_the_same_adapter_anew(gated, tmp_path: Path) -> None:
    """10 of 10 clear 0.7 and not 0.9; the trained adapter is kept, its bits are the same."""
    with pytest.raises(RejectedError, match="INCONCLUSIVE") as undecided:
        train.run(gated("gate.min_escalation=0.9"))
    assert "add prompts to the suites of the gate" in str(undecided.value)
    assert "train another" not in str(undecided.value)
    run = tmp_path / "out/gated"
    weights = sha256_file(run / "rejected/adapter_model.safetensors")
    steps = (run / "metrics.jsonl").read_bytes()
    train.run(gated())
    assert sha256_file(run / "final/adapter_model.safetensors") == weights
    assert (run / "metrics.jsonl").read_bytes() == steps
    assert not (run / "rejected").exists()
    with pytest.raises(ConfigError, match=r"gate\.min_escalation: 0\.7 then, 0\.9 now"):
        train.run(gated("gate.min_escalation=0.9"))  # what is final was not held against this


def test_the_gate_changes_no_bit_of_the_adapter(gated, tough_plan, tmp_path: Path) -> None:
    """With it and without it the same adapter comes out."""
    train.run(gated())
    train.run(tough_plan("plain", *SHORT))
    digests = {
        sha256_file(tmp_path / f"out/{name}/final/adapter_model.safetensors")
        for name in ("gated", "plain")
    }
    assert len(digests) == 1


def test_interrupted_while_judging_it_goes_on_to_the_same_verdict(
    gated, tmp_path: Path, monkeypatch
) -> None:
    """143 with the last step committed, no folder of a result; then the gate is held again."""
    stop = Stop()

    def stopped(*args, **kwargs):
        stop.requested = "SIGTERM"
        return generate(*args, **kwargs)

    monkeypatch.setattr("medlora.evaluate.generate.generate", stopped)
    with pytest.raises(StoppedError, match="is committed"):
        train.run(gated("gate.min_escalation=0.9"), stop=stop)
    run = tmp_path / "out/gated"
    assert not (run / "final").exists()
    assert not (run / "rejected").exists()
    monkeypatch.setattr("medlora.evaluate.generate.generate", generate)
    monkeypatch.setattr(MedicalLoRATrainer, "steps", lambda _: iter(()))  # none is left to do
    with pytest.raises(RejectedError, match="INCONCLUSIVE"):
        train.run(gated("gate.min_escalation=0.9"))


def test_a_rejected_run_is_verified_and_reproduced(
    gated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its evidence is as good as a final one's."""
    with pytest.raises(RejectedError):
        train.run(gated("gate.min_escalation=0.9"))
    verify.run(tmp_path / "out/gated")
    assert "ok       rejected: run of step" in capsys.readouterr().out
    reproduce.run(tmp_path / "out/gated")
    assert "reproduced: the adapter has the same SHA-256" in capsys.readouterr().out


def test_trainer_s_own_engine_has_the_same_gate(gated, tmp_path: Path) -> None:
    """training.engine: huggingface ends in rejected/ as well."""
    engine = ("training.engine=huggingface", "training.max_steps=2")
    with pytest.raises(RejectedError, match="INCONCLUSIVE"):
        train.run(gated("gate.min_escalation=0.9", *engine))
    assert read_manifest(tmp_path / "out/gated/rejected")["status"] == "rejected"
    assert not (tmp_path / "out/gated/final").exists()


def test_a_gate_that_cannot_judge_is_refused_before_training(
    gated, tmp_path: Path, write_jsonl, monkeypatch
) -> None:
    """A rule without rows, a prompt without room, a bad row: nothing is trained first."""
    monkeypatch.setattr(MedicalLoRATrainer, "train", None)
    with pytest.raises(ConfigError, match=r"is measured by gate\.min_refusal"):
        train.run(gated("gate.min_refusal=0.5"))
    for name, row in {
        "long": {"prompt": "pain " * 90, "expect": "escalate"},
        "bad": {"prompt": "pain", "expect": "escalating"},
    }.items():
        suite = write_jsonl(f"{name}.jsonl", [row])
        with pytest.raises(DataError, match=rf"{name}\.jsonl:1: "):
            train.run(gated(f"gate.suites={suite}"))


def test_a_broken_adapter_is_rejected(gated, tmp_path: Path, monkeypatch) -> None:
    """Weights at random, as after a bad learning rate: answers collapse, and the gate sees it."""
    words = "the patient asks about pain in chest head and back"

    class Fluent(EndChecker):
        """Degenerate is what is not made of the words that the base was left with."""

        def check_safety_compliance(self, response: str, **_: object) -> dict[str, Any]:
            """One rule, about collapsed answers."""
            rules = [] if response in words else [{"rule": "DEGENERATE_OUTPUT"}]
            return {"compliant": not rules, "findings": rules, "ruleset": "words"}

    monkeypatch.setattr(evaluation, "shipped_checker", Fluent)
    original = MedicalLoRATrainer.train

    def spoil(self, **kwargs):
        result = original(self, **kwargs)
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=random))
        return result

    monkeypatch.setattr(MedicalLoRATrainer, "train", spoil)
    with pytest.raises(RejectedError, match=r"max_degenerate .* FAIL|not scored"):
        train.run(gated("gate.max_degenerate=0.3"))
    assert not (tmp_path / "out/gated/final").exists()
