"""The loops that compete, each through its public way in; a gate stands between steps.

An engine gets the gate and the spec, trains until the gate is over, and returns the adapter.
Imports are inside: each process pays for its own alone.
"""

from collections.abc import Callable
from contextlib import suppress

import torch

from benchmarks.training.gate import Gate, Over
from benchmarks.training.spec import Adapter, Spec


def ours(gate: Gate, spec: Spec) -> Adapter:
    """Train with the project's own loop, as `medlora train` sets it up."""
    from benchmarks.training.with_ours import train

    return train(gate, spec)


def hf(gate: Gate, spec: Spec) -> Adapter:
    """Train with Hugging Face's Trainer and PEFT."""
    from benchmarks.training import with_hf

    return with_hf.hf(gate, spec)


def trl(gate: Gate, spec: Spec) -> Adapter:
    """Train with TRL's SFTTrainer."""
    from benchmarks.training import with_hf

    return with_hf.trl(gate, spec)


def litgpt(gate: Gate, spec: Spec) -> Adapter:
    """Train with litgpt's own `fit`."""
    from benchmarks.training.with_litgpt import train

    return train(gate, spec)


def matrix(gate: Gate, spec: Spec) -> Adapter:
    """Multiply large matrices: what the device can do; "tokens" are operations."""
    size, times = (8192, 20) if spec.device == "cuda" else (2048, 5)
    dtype = getattr(torch, spec.dtype)
    left = torch.randn(size, size, device=spec.device).to(dtype)
    right = left.T.contiguous()
    left @ right
    with suppress(Over):
        while True:
            gate()
            for _ in range(times):
                left @ right
            gate.count(2 * size**3 * times, 0)
    return {}


ENGINES: dict[str, Callable[[Gate, Spec], Adapter]] = {
    "ours": ours,
    "hf": hf,
    "trl": trl,
    "litgpt": litgpt,
    "matrix": matrix,
}
