"""configs/: each fits the device that its first lines name, with an 8B base."""

import re
from pathlib import Path

import pytest
from transformers import LlamaConfig

from medlora.config import from_yaml, load
from medlora.plan.device import Device
from medlora.plan.memory_forecast import Forecast

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[2] / "configs"
LAYERS = 32
# The layers of an 8B model are alike: one and two of them tell of any number.
SHAPE = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
READY = ("8b-80gb", "qlora-24gb", "long-notes", "short-answers", "several-gpus")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders with a config.json and no weights, by their number of layers."""
    folders = {depth: tmp_path_factory.mktemp(f"base{depth}") for depth in (1, 2)}
    for depth, folder in folders.items():
        LlamaConfig(num_hidden_layers=depth, **SHAPE).save_pretrained(folder)
    return folders


@pytest.mark.parametrize("name", READY)
def test_a_ready_config_fits_the_device_that_it_names(name: str, bases: dict[int, Path]) -> None:
    """Predicted peak of a step and of an evaluation, at full length; `auto` with its least."""
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    cfg = load(from_yaml(CONFIGS / f"{name}.yaml")).config
    (size,) = re.findall(r"^# .*?(\d+) GB\b", text, flags=re.MULTILINE)[:1]
    device = Device("cuda", int(size) * 10**9)
    rows = cfg.training.per_device_train_batch_size
    rows = 1 if rows == "auto" else rows
    parts = cfg.training.step_rows // rows
    forecasts = {depth: Forecast(base, cfg, device) for depth, base in bases.items()}
    one, two = (forecasts[depth].footprint(rows, parts) for depth in (1, 2))
    assert one.recomputed == two.recomputed
    peak = one.peak + (LAYERS - 1) * (two.peak - one.peak)
    if cfg.training.gradient_checkpointing == "auto" and peak > forecasts[1].capacity:
        wished = cfg.training.model_copy(update={"gradient_checkpointing": True})
        cfg = cfg.model_copy(update={"training": wished})
        one, two = (Forecast(base, cfg, device).footprint(rows, parts) for base in bases.values())
        peak = one.peak + (LAYERS - 1) * (two.peak - one.peak)
    assert peak <= forecasts[1].capacity
    assert peak > 0.2 * device.memory  # it is made for this device, not for a much smaller one


def test_every_kind_that_people_ask_for_is_there() -> None:
    """And the list in docs/training.md names each file."""
    page = (CONFIGS.parent / "docs/training.md").read_text(encoding="utf-8")
    for file in CONFIGS.glob("*.yaml"):
        assert f"configs/{file.name}" in page
    assert {file.stem for file in CONFIGS.glob("*.yaml")} >= set(READY)
