"""Variants of LoRA through the whole job: each key arrives, and interruptions cost no bit."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import MissingPartError
from medlora.jobs import train
from medlora.plan.resolve_run import Plan

pytestmark = pytest.mark.slow

Make = Callable[..., Plan]
VARIANT = (
    "lora.use_rslora=true",
    "lora.use_dora=true",
    "lora.loraplus_lr_ratio=4",
    "training.lr_scheduler_type=linear",
    "training.warmup_steps=null",
    "training.warmup_ratio=0.2",
    "training.min_lr_rate=0",
)
RECOMPUTED = ("data.max_length=48", "training.gradient_checkpointing=true")
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None,
    reason="bitsandbytes is not installed (uv sync --extra qlora)",
)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(VARIANT, id="rslora-dora-loraplus"),
        pytest.param(("model.load_in_4bit=true",), id="4bit", marks=needs_bitsandbytes),
        pytest.param(("training.packing=true", "data.max_length=48"), id="packed"),
        pytest.param(("training.packing=true", *RECOMPUTED), id="packed-recomputed"),
        pytest.param(
            ("training.packing=true", "model.attn_implementation=eager"), id="packed-eager"
        ),
        pytest.param(("training.group_by_length=false",), id="plain"),
        pytest.param(('lora.target_modules=["q_proj", "lm_head"]',), id="head"),
        pytest.param(
            ("training.lean_lora=false", "training.targets_only_loss=false"), id="as-peft-computes"
        ),
    ],
)
def test_a_variant_goes_on_to_the_same_bits(
    tough_plan: Make, outcome_of, stop_after_two_steps, tmp_path: Path, overrides
) -> None:
    """Magnitudes, groups of rates and quantized weights are restored like all else."""
    train.run(tough_plan("straight", *overrides))
    stop_after_two_steps(tough_plan("cut", *overrides))
    assert (tmp_path / "out/cut/step_2").is_dir()
    train.run(tough_plan("cut", *overrides))
    assert outcome_of("cut") == outcome_of("straight")
    manifest = read_manifest(tmp_path / "out/cut/final")
    assert manifest["result"]["eval_loss"] < manifest["result"]["base_eval_loss"]
    assert ("bitsandbytes" in manifest["software"]) == bool(
        importlib.util.find_spec("bitsandbytes")
    )


def test_each_key_of_a_variant_arrives(tough_plan: Make, tmp_path: Path) -> None:
    """In the adapter's description, and in the rates: 2 of 9 steps up, then down along a line."""
    train.run(tough_plan("run", *VARIANT))
    described = json.loads((tmp_path / "out/run/final/adapter_config.json").read_text())
    assert (described["use_rslora"], described["use_dora"]) == (True, True)
    lines = (tmp_path / "out/run/metrics.jsonl").read_text().splitlines()
    rates = [record["learning_rate"] for record in map(json.loads, lines) if "grad_norm" in record]
    assert rates == pytest.approx(
        [1e-2 * up for up in (0, 1 / 2, 1, *(k / 7 for k in range(6, 0, -1)))]
    )


def test_4_bits_without_bitsandbytes_end_before_anything_is_read(
    tough_plan: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """69, even where data and model are missing too."""
    monkeypatch.setattr("medlora.config.conflicts.find_spec", lambda _name: None)
    plan = tough_plan("run", "model.load_in_4bit=true", "data.path=none", "model.base_model_name=x")
    with pytest.raises(MissingPartError, match="bitsandbytes is not installed"):
        train.run(plan)
