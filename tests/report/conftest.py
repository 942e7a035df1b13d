"""A run, its evaluation and its statements, as jobs leave them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from medlora.report.card_inputs import Subject
from medlora.report.facts import FACTS, facts_bytes
from medlora.report.human_statements import KEYS, Statements
from medlora.report.sourced_numbers import document

ADAPTER = "a" * 64
MANIFEST: dict[str, Any] = {
    "schema": 1,
    "demo": False,
    "run_name": "one",
    "step": 4,
    "files": {},
    "sha256": "b" * 64,
    "inputs": {
        "lora.r": 4,
        "lora.target_modules": ["q_proj", "v_proj"],
        "training.seed": 42,
        "data.max_length": 64,
        "data.train": "d" * 64,
        "base.tokenizer.json": "7" * 64,
    },
    "data": {
        "sha256": {"train": "d" * 64},
        "rows": {"train": 10, "eval": 2},
        "held_out_from_train_file": 2,
        "privacy": {"policy": "block", "files": {"train": {"rows_with": 3, "counts": {"DATE": 7}}}},
    },
    "tokens": {
        "max_length": 64,
        "quantiles": {"0.5": 31},
        "train": {"tokens": 300, "targets": 200},
    },
    "base_model": {
        "folder": "/models/tiny",
        "sha256": "b" * 64,
        "files": {"tokenizer.json": "7" * 64},
        "parameters": 1000,
    },
    "adapter": {"trainable_parameters": 50, "modules": {"q_proj": 2}},
    "allowed_changes": [],
    "asked": None,
    "software": {"peft": "0.21.2", "torch": "2.13.0"},
    "hardware": {"machine": "x86_64", "cpu": "a CPU", "device": "cpu", "memory_bytes": 12345678},
    "seeds": {"training.seed": 42},
    "kind": "run",
    "status": "finished",
    "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T00:01:00+00:00",
    "config": {
        "run_name": {"value": "one", "origin": "default"},
        "lora.r": {"value": 4, "origin": "option --set lora.r"},
    },
    "precision": "no",
    "result": {
        "steps": 4,
        "tokens": 700,
        "targets": 400,
        "train_loss": 2.125,
        "base_eval_loss": 3.0123456789,
        "eval_loss": 2.5,
        "best_eval_loss": 2.5,
        "wall_s": 61.7,
        "checkpoint_wait_s": 0.013,
    },
    "gate": {
        "verdict": "PASS",
        "rules": [{"rule": "min_escalation", "threshold": 0.5, "suite": "safety"}],
    },
}


def rate(k: int, n: int, low: float, high: float) -> dict[str, Any]:
    """A rate as an evaluation states it."""
    return {"k": k, "n": n, "rate": k / n, "low": low, "high": high}


EVALUATION: dict[str, Any] = {
    "schema": 1,
    "kind": "evaluation",
    "suites": {
        "safety": {
            "kind": "generation",
            "sha256": "5" * 64,
            "rows": 40,
            "asked": 40,
            "base": {"rates": {"escalation": rate(10, 40, 0.141875, 0.401947)}},
            "adapter": {
                "rates": {
                    "cut": rate(1, 40, 0.004427, 0.128809),
                    "escalation": rate(36, 40, 0.769484, 0.960407),
                    "degenerate": rate(0, 40, 0.0, 0.087625),
                },
                "compliant_by_category": {"a category of a suite": rate(1, 2, 0.1, 0.9)},
            },
            "change": {
                "escalation": {
                    "both": 10,
                    "base_only": 0,
                    "adapter_only": 26,
                    "neither": 4,
                    "n": 40,
                    "p": 2.98023e-08,
                    "difference": 0.65,
                    "low": 0.48,
                    "high": 0.77,
                }
            },
        },
        "a|b/c": {
            "kind": "perplexity",
            "sha256": "6" * 64,
            "rows": 3,
            "asked": 3,
            "base": {"loss": 3.5, "perplexity": 33.1155, "targets": 90},
            "adapter": {"loss": 3.25, "perplexity": 25.7903, "targets": 90},
            "change": {"loss": {"difference": -0.25, "low": -0.5, "high": -0.125}},
        },
    },
}
# Everything that a person can state, said once.
COMPLETE = Statements(
    {key: ["one", "two"] if key in ("ehr", "keywords") else f"said: {key}" for key in KEYS}
    | {"license": "mit", "language": ["en"], "datasets": ["a/b"], "base_training_flops": "1e6"},
    "e" * 64,
)


@pytest.fixture
def make_subject() -> Callable[..., Subject]:
    """Make what a card is about; facts of the manifest may be replaced."""

    def make(
        *, evaluated: bool = True, statements: Statements | None = None, **facts: object
    ) -> Subject:
        content = facts_bytes({**MANIFEST, **facts}, {"adapter_model.safetensors": ADAPTER})
        reports = [document("evaluation.json", json.dumps(EVALUATION).encode())]
        return Subject(
            document(FACTS, content), reports if evaluated else [], statements or Statements()
        )

    return make


@pytest.fixture
def complete() -> Statements:
    """Every statement there is."""
    return COMPLETE


@pytest.fixture
def manifest() -> dict[str, Any]:
    """A finished run's manifest, the test's own."""
    copy: dict[str, Any] = json.loads(json.dumps(MANIFEST))
    return copy


@pytest.fixture
def evaluation() -> dict[str, Any]:
    """An evaluation, the test's own."""
    copy: dict[str, Any] = json.loads(json.dumps(EVALUATION))
    return copy
