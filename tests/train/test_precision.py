"""bfloat16 where the device has it, else float16 with a scaler; float32 on a CPU unless asked."""

import pytest

from medlora.config import TrainingConfig
from medlora.train.precision import choose_precision


@pytest.mark.parametrize(
    ("asked", "device", "bf16_supported", "chosen"),
    [
        ({}, "cuda", True, "bf16"),
        ({}, "cuda", False, "fp16"),
        ({}, "cpu", True, "no"),
        ({"bf16": True}, "cpu", True, "bf16"),
        ({"fp16": True}, "cuda", True, "fp16"),
        ({"bf16": False}, "cuda", True, "fp16"),
        ({"bf16": False, "fp16": False}, "cuda", True, "no"),
        ({"fp16": False}, "cuda", False, "no"),
    ],
)
def test_the_choice(asked: dict[str, bool], device: str, bf16_supported: bool, chosen: str) -> None:
    """Every combination of wish and device."""
    cfg = TrainingConfig(**asked)
    assert choose_precision(cfg, device=device, bf16_supported=bf16_supported) == chosen
