"""The project's own loop."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.training.contestants import OURS
from benchmarks.training.gate import Gate, Over
from benchmarks.training.prepare import ROWS, SEED, read
from benchmarks.training.shapes import ALPHA, DROPOUT, RANK, build, is_saved
from benchmarks.training.spec import (
    CLIP,
    DECAY,
    LEARNING_RATE,
    WARMUP_STEPS,
    Adapter,
    Spec,
)
from medlora.config import RunConfig, from_mapping
from medlora.data.batches import train_loader
from medlora.data.micro_batches import Collate, Layout
from medlora.model.adapter import adapter_tensors, attach
from medlora.model.base import load_base, load_tokenizer
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer


def train(gate: Gate, spec: Spec) -> Adapter:
    """Train with the project's own loop, as `medlora train` sets it up."""
    cfg = from_mapping(_config(spec))
    tokenizer = load_tokenizer(spec.base)
    if is_saved(spec.model_shape):
        half = torch.bfloat16 if spec.dtype == "bfloat16" else None
        base = load_base(spec.base, cfg.model, half=half, device=spec.device)
    else:
        base = build(spec.model_shape, device=spec.device, dtype=spec.dtype)
    model = attach(base, cfg.lora, seed=SEED)
    trainer = _trainer(model, tokenizer, cfg, spec)
    steps = trainer.steps()
    with suppress(Over):
        gate()
        for result in steps:
            gate.count(result.tokens, result.targets)
            gate.loss(result.loss)
            gate()
    return adapter_tensors(model)


def _trainer(model: Any, tokenizer: Any, cfg: RunConfig, spec: Spec) -> MedicalLoRATrainer:  # noqa: ANN401
    training = cfg.training
    padded: Layout = "grouped" if training.group_by_length else "plain"
    collate = Collate(
        padded if training.packing is False else "packed",
        batch_size=spec.micro,
        max_length=spec.max_length,
        pad_id=tokenizer.pad_token_id,
    )
    rows = read(Path(spec.work) / ROWS)
    loader = train_loader(
        rows,  # type: ignore[arg-type]  # their fields are all that is asked for
        collate,
        step_rows=spec.micro * spec.accumulation,
        seed=SEED,
        pin_memory=spec.device == "cuda" and training.dataloader_pin_memory,
    )
    return MedicalLoRATrainer(model, tokenizer, loader, None, cfg)


def _config(spec: Spec) -> dict[str, Any]:
    nested: dict[str, Any] = {
        "run_name": spec.name,
        "lora": {"r": RANK, "lora_alpha": ALPHA, "lora_dropout": DROPOUT},
        "data": {"max_length": spec.max_length},
        "training": {
            "max_steps": spec.steps,
            "num_train_epochs": 100,
            "per_device_train_batch_size": spec.micro,
            "gradient_accumulation_steps": spec.accumulation,
            "learning_rate": LEARNING_RATE,
            "lr_scheduler_type": "constant",
            "warmup_steps": WARMUP_STEPS,
            "weight_decay": DECAY,
            "max_grad_norm": CLIP,
            "bf16": spec.dtype == "bfloat16",
            "fp16": False,
            "seed": SEED,
            "output_dir": spec.scratch,
        },
    }
    for key, value in (OURS | spec.options).items():
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    return nested
