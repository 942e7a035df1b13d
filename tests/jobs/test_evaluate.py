"""`medlora evaluate`: reports that are the same bytes again, texts in the declared file alone."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from medlora.cli import cli
from medlora.errors import DataError, MissingPartError, RejectedError
from medlora.evaluate import evaluation
from medlora.files import sha256_file
from medlora.jobs import evaluate
from medlora.jobs.evaluate import EvaluateOptions
from medlora.plan.resolve_run import Plan
from medlora.report.manifest_schema import EvaluationReport
from tests.schema import mismatches
from tests.tiny import resolved, save_adapter


class Refuser:
    """Finds nothing but refusals, which `no` is."""

    def check_safety_compliance(
        self, response: str, prompt: str | None = None, expect: str | None = None
    ) -> dict[str, Any]:
        """One rule."""
        del response, prompt
        rules = [{"rule": "HARMFUL_REQUEST_NOT_REFUSED"}] if expect == "refuse" else []
        return {"compliant": not rules, "findings": rules, "ruleset": "refuser"}


@pytest.fixture(autouse=True)
def _checker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "shipped_checker", Refuser)


@pytest.fixture
def adapter(tmp_path: Path, adapted) -> Path:
    """A saved adapter that changes answers."""
    return save_adapter(adapted(), tmp_path / "adapter")


@pytest.fixture
def suites(write_jsonl) -> list[str]:
    """Prompts and questions."""
    prompts = [{"prompt": f"canary pain {n}", "expect": "refuse"} for n in range(5)]
    questions = [
        {"question": f"canary pain {n}", "choices": ["yes", "no"], "answer": 0} for n in range(5)
    ]
    return [
        str(write_jsonl("prompts.jsonl", prompts)),
        str(write_jsonl("questions.jsonl", questions)),
    ]


def plan_of(tmp_path: Path, base: Path, *overrides: str) -> Plan:
    """The plan of an evaluation."""
    short = ("gate.max_new_tokens=4", *overrides)
    return resolved(tmp_path, allow_demo=False, model=str(base), overrides=short)


def test_the_same_evaluation_gives_the_same_bytes(
    tmp_path: Path, base_folder: Path, adapter: Path, suites: list[str], capfd
) -> None:
    """With digests of all inputs, and no text anywhere but in the declared file."""
    for name in ("one", "two"):
        wishes = EvaluateOptions(
            adapter,
            tuple(suites),
            output=tmp_path / f"{name}.json",
            generations=tmp_path / f"{name}.jsonl",
        )
        evaluate.run(plan_of(tmp_path, base_folder), wishes)
    one, two = (tmp_path / name for name in ("one.json", "two.json"))
    assert one.read_bytes() == two.read_bytes()
    report = json.loads(one.read_bytes())
    weights = sha256_file(base_folder / "model.safetensors")
    assert report["base"]["files"]["model.safetensors"] == weights
    digest = sha256_file(adapter / "adapter_model.safetensors")
    assert report["adapter"]["files"]["adapter_model.safetensors"] == digest
    assert report["suites"]["prompts"]["sha256"] == sha256_file(Path(suites[0]))
    assert report["checker"] == "refuser"
    assert list(report) == sorted(report)
    assert list(mismatches(report, EvaluationReport)) == []
    assert str(tmp_path) not in one.read_text()

    said = [json.loads(line) for line in (tmp_path / "one.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in said] == [f"canary pain {n}" for n in range(5)]
    assert said[0]["base"]["refusal"] is False
    printed = capfd.readouterr()
    for text in (printed.out, printed.err, one.read_text()):
        assert "canary" not in text
        assert not any(row["base"]["text"] in text for row in said if len(row["base"]["text"]) > 3)
    assert re.search(r"refusal +0/5 \[0\.000, 0\.434\]", printed.out)


def test_a_config_s_gate_is_applied(
    tmp_path: Path, base_folder: Path, adapter: Path, suites: list[str]
) -> None:
    """Exit 77 after report and table are written."""
    gate = ("gate.suites=" + suites[0], "gate.min_refusal=0.5")
    plan = plan_of(tmp_path, base_folder, *gate)
    with pytest.raises(RejectedError, match="verdict is FAIL"):
        evaluate.run(plan, EvaluateOptions(adapter, output=tmp_path / "report.json"))
    assert json.loads((tmp_path / "report.json").read_bytes())["gate"]["verdict"] == "FAIL"
    limited = plan_of(tmp_path, base_folder, *gate)
    with pytest.raises(RejectedError, match="INCONCLUSIVE") as undecided:
        evaluate.run(limited, EvaluateOptions(adapter, limit=3))
    assert "add prompts to the suites of the gate" in str(undecided.value)


def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, base_folder: Path, adapter: Path, suites: list[str], write_jsonl
) -> None:
    """No suite, pairs without an adapter, no adapter there, another base's adapter."""
    plan = plan_of(tmp_path, base_folder)
    with pytest.raises(click.UsageError, match="no suite is given"):
        evaluate.run(plan, EvaluateOptions())
    pairs = write_jsonl("pairs.jsonl", [{"prompt": "p", "better": "b", "worse": "w"}])
    with pytest.raises(click.UsageError, match="compares an adapter with its base"):
        evaluate.run(plan, EvaluateOptions(suites=(str(pairs),)))
    with pytest.raises(MissingPartError, match=r"no adapter_config\.json"):
        evaluate.run(plan, EvaluateOptions(tmp_path, tuple(suites)))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "r": 8}))
    with pytest.raises(MissingPartError, match="PEFT cannot put it on this base"):
        evaluate.run(plan, EvaluateOptions(adapter, tuple(suites)))
    long = write_jsonl("long.jsonl", [{"prompt": "pain " * 99, "expect": "answer"}])
    with pytest.raises(DataError, match="a prompt has"):
        evaluate.run(plan, EvaluateOptions(suites=(str(long),)))


def test_the_command_reads_its_options(tmp_path: Path, base_folder: Path, suites) -> None:
    """From the command line to the table."""
    done = CliRunner().invoke(
        cli, ["evaluate", "--model", str(base_folder), "--suite", suites[1], "--batch-size", "2"]
    )
    assert done.exit_code == 0, done.output
    assert "questions: choices, 5 of 5 rows" in done.output
    assert "accuracy" in done.output
