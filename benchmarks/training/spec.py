"""What a contestant is told, and what all but ours share: rows, model, hyperparameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.training.prepare import BASE, ROWS, SEED, Row, order, read
from benchmarks.training.shapes import ALPHA, DROPOUT, RANK, TARGETS, Shape, load, shape_of

LEARNING_RATE, WARMUP_STEPS, DECAY, CLIP = 1e-4, 5, 0.01, 1.0
IGNORE = -100
Adapter = dict[str, Tensor]  # under PEFT's names, or what it adds under the base's


@dataclass(frozen=True, slots=True)
class Spec:
    """What one contestant is to do."""

    name: str
    kind: str
    options: dict[str, Any]
    micro: int  # rows in a micro-batch
    accumulation: int  # micro-batches in a step
    steps: int  # at most
    work: str
    scratch: str
    device: str
    dtype: str
    shape: str
    vocab: int | None
    max_length: int
    held_out: int

    @property
    def model_shape(self) -> Shape:
        """Return the model's dimensions."""
        return shape_of(self.shape, self.vocab)

    @property
    def base(self) -> Path:
        """Return the base model's folder."""
        return Path(self.work) / BASE


def common_rows(spec: Spec, *, whole: bool) -> list[Row]:
    """Return the rows in everybody's order.

    Args:
        spec: the task.
        whole: all of them; else only those that this run's steps reach, for a loop that sorts
            rows by length and would otherwise be measured on the longest alone.
    """
    rows = read(Path(spec.work) / ROWS)
    chosen = [rows[k] for k in order(len(rows)).tolist()]
    return chosen if whole else chosen[: spec.steps * spec.micro * spec.accumulation]


def peft_model(spec: Spec) -> Any:  # noqa: ANN401  (a heavy type, imported late)
    """Return the base with a fresh adapter, the same for everybody."""
    import peft

    base = load(spec.base, spec.model_shape, device=spec.device, dtype=spec.dtype)
    torch.manual_seed(SEED)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=DROPOUT,
        target_modules=list(TARGETS),
    )
    return peft.get_peft_model(base, config)


def on_cpu(tensors: Adapter) -> Adapter:
    """Return copies that outlive the model."""
    return {name: tensor.detach().float().cpu().clone() for name, tensor in tensors.items()}
