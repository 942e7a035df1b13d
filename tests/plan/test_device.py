"""Memory as a run states it: what is in use, and a peak that is one."""

import resource
from types import SimpleNamespace

import pytest
import torch

from medlora.config import TrainingConfig
from medlora.plan.device import Device, half_of, memory_in_use

CPU = torch.device("cpu")


def test_a_peak_is_never_below_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernel's own counter of the peak says at that moment."""
    real = memory_in_use(CPU)
    assert 0 < real["memory_bytes"] <= real["memory_peak_bytes"]
    lagging = SimpleNamespace(ru_maxrss=1)
    monkeypatch.setattr(resource, "getrusage", lambda _: lagging)
    found = memory_in_use(CPU)
    assert found["memory_peak_bytes"] == found["memory_bytes"] > 1024


@pytest.mark.parametrize(
    ("asked", "device", "half"),
    [
        ({}, Device("cuda", 1), torch.bfloat16),
        ({}, Device("cuda", 1, bf16=False), torch.float16),
        ({"bf16": True}, Device("cuda", 1, bf16=False), torch.float16),  # trained on a newer GPU
        ({"bf16": False, "fp16": False}, Device("cuda", 1), None),
        ({"bf16": True}, Device("cpu", 1), None),
    ],
)
def test_a_base_is_loaded_in_the_type_that_its_run_asked_for(
    asked: dict[str, bool], device: Device, half: torch.dtype | None
) -> None:
    """None is float32, as always on a CPU."""
    assert half_of(TrainingConfig(**asked), device) is half
