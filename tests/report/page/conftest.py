"""Runs as the page is told of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from medlora.report.page.run_facts import Run
from medlora.report.sourced_numbers import document

ADAPTER = "adapter_model.safetensors"


def lines(steps: int, *, shift: float = 0.0) -> bytes:
    """The metrics of a run of so many steps, evaluated every tenth and looked at twice."""
    records: list[dict[str, Any]] = [
        {"kind": "eval", "step": 0, "epoch": 0.0, "eval_loss": 3.0123456789, "eval_targets": 7},
        {"kind": "metrics", "step": 0, "performance/prompts": 8.0, "performance/refused_rate": 0.0},
    ]
    for step in range(1, steps + 1):
        records.append(
            {
                "kind": "train",
                "step": step,
                "epoch": step / steps,
                "loss": 3 / step + shift + (step % 7) * 0.01,
                "learning_rate": 1e-4 * (1 - step / (steps + 1)),
                "grad_norm": None if step == 2 else 1.5,
                "skipped": False,
                "tokens_per_s": 1000.5 + step,
                "memory_bytes": (1 << 30) + step * 4096,
                "memory_peak_bytes": (1 << 30) + step * 8192,
            }
        )
        if step % 10 == 0:
            records.append({"kind": "eval", "step": step, "eval_loss": 2 / step + shift})
    records.append(
        {
            "kind": "metrics",
            "step": steps,
            "performance/prompts": 8.0,
            "performance/refused_rate": 0.125,
            "performance/findings/REFUSAL": 1.0,
        }
    )
    return "".join(json.dumps(record) + "\n" for record in records).encode()


@pytest.fixture
def make_run(manifest: dict[str, Any], evaluation: dict[str, Any]) -> Callable[..., Run]:
    """Make a run; facts of the manifest may be replaced."""

    def make(
        label: str = "one", *, steps: int = 20, shift: float = 0.0, adapter: str = "a", **more: Any
    ) -> Run:
        stated = {**manifest, "files": {ADAPTER: adapter * 64}, "sha256": "f" * 64, **more}
        reports = [document("evaluation.json", json.dumps(evaluation).encode())]
        return Run(label, stated, lines(steps, shift=shift), reports)

    return make
