"""Whole runs on a GPU: exact after an interruption, in every number format, with little memory."""

import json
from pathlib import Path

import pytest
import torch

from medlora.checkpoint.folder_format import read_manifest
from medlora.config import ModelConfig
from medlora.errors import MissingPartError
from medlora.files import sha256_file
from medlora.inputs.prepare import find_inputs
from medlora.jobs import train
from medlora.model.base import load_base
from medlora.plan.resolve_run import Plan
from medlora.train.forward import Forward
from tests.tiny import run_plan

FORMATS = {
    "default": (),
    "fp16": ("training.bf16=false", "training.fp16=true"),
    "float32": ("training.bf16=false", "training.fp16=false", "model.dtype=float32"),
    "4bit": ("model.load_in_4bit=true",),
    "padded": ("training.packing=false",),
    "recomputed": ("training.gradient_checkpointing=true",),
    "compiled": ("training.torch_compile=true",),
    "liger": ("training.use_liger_kernel=true",),
}


@pytest.fixture
def make_plan(device: torch.device, tmp_path: Path, data_file: Path, base_folder: Path):
    """Plans of short runs by name."""

    def make(name: str, *overrides: str) -> Plan:
        settings = (
            "training.num_train_epochs=3",
            "training.warmup_steps=2",
            "training.learning_rate=1e-2",
            "training.eval_steps=2",
            "training.save_steps=2",
            "lora.r=4",
            "data.eval_fraction=0.2",
            f"run_name={name}",
        )
        return run_plan(tmp_path, *settings, *overrides, data=data_file, base=base_folder)

    return make


def digest(tmp_path: Path, name: str) -> str:
    """The final adapter's SHA-256."""
    return sha256_file(tmp_path / "out" / name / "final/adapter_model.safetensors")


@pytest.mark.filterwarnings("ignore")  # torch's own compiler has many
@pytest.mark.parametrize("name", FORMATS)
def test_a_run_repeats_itself_and_survives_an_interruption(
    make_plan, tmp_path: Path, stop_after_two_steps, device: torch.device, name: str
) -> None:
    """The same bits twice, and the same after a stop in the middle."""
    if name in ("fp16", "4bit") and device.type != "cuda":
        pytest.skip("a GPU's number format")
    plan = make_plan("one", *FORMATS[name])
    try:
        find_inputs(plan)
    except MissingPartError as missing:  # a package, a compiler or a GPU
        pytest.skip(str(missing).splitlines()[0])
    for run in ("one", "two"):
        train.run(make_plan(run, *FORMATS[name]))
    stop_after_two_steps(make_plan("cut", *FORMATS[name]))
    train.run(make_plan("cut", *FORMATS[name]))
    assert digest(tmp_path, "one") == digest(tmp_path, "two") == digest(tmp_path, "cut")
    facts = read_manifest(tmp_path / "out/one/final")
    assert facts["hardware"]["device"] == device.type
    assert facts["result"]["eval_loss"] < facts["result"]["base_eval_loss"]
    lines = (tmp_path / "out/one/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["memory_peak_bytes"] > 0 for line in lines if "peak" in line)


def test_memory_that_runs_out_costs_time_and_not_the_run(
    make_plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real allocation that the device refuses; the micro-batch is halved and stays so."""
    original, calls = Forward.nats, []

    def hungry(self, batch):
        calls.append(len(batch["record_lengths"]))
        if torch.is_grad_enabled() and calls[-1] > 2:
            torch.empty(2**50, device=batch["input_ids"].device)
        return original(self, batch)

    monkeypatch.setattr(Forward, "nats", hungry)
    train.run(make_plan("run", "training.gradient_checkpointing=false"))
    facts = read_manifest(tmp_path / "out/run/final")
    assert facts["result"]["micro_batch_rows"] in (1, 2)


def test_the_base_is_loaded_onto_the_device(device: torch.device, base_folder: Path) -> None:
    """Weights go from the file to where they are used."""
    model = load_base(base_folder, ModelConfig(), half=torch.bfloat16, device=device.type)
    assert {parameter.device.type for parameter in model.parameters()} == {device.type}
