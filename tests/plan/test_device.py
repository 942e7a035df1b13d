"""Memory as a run states it: what is in use, and a peak that is one."""

import resource
from types import SimpleNamespace

import pytest
import torch

from medlora.plan.device import memory_in_use

CPU = torch.device("cpu")


def test_a_peak_is_never_below_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernel's own counter of the peak says at that moment."""
    real = memory_in_use(CPU)
    assert 0 < real["memory_bytes"] <= real["memory_peak_bytes"]
    lagging = SimpleNamespace(ru_maxrss=1)
    monkeypatch.setattr(resource, "getrusage", lambda _: lagging)
    found = memory_in_use(CPU)
    assert found["memory_peak_bytes"] == found["memory_bytes"] > 1024
