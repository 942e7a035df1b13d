"""How long a run will take, by a few of its own steps on its own device; nothing is written."""

import time
from pathlib import Path
from typing import Any

import torch

from medlora.config import RunConfig
from medlora.jobs.device import begin_peak, device_type, has_bf16, peak_since
from medlora.jobs.fit import MedicalLoRATrainer
from medlora.jobs.inputs import Prepared
from medlora.jobs.loaders import make_loaders
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.train.precision import choose_precision

_STEPS, _LONG_S = 3, 4.0  # probed at most; no further step begins after so long
_FORWARD = 0.4  # of a step's time a token, which has a backward pass as well
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def probe(base: Path, prepared: Prepared, cfg: RunConfig) -> dict[str, Any]:
    """Train a few steps in memory; return times in seconds and bytes, as JSON values.

    Args:
        base: folder of the base model.
        prepared: the rows.
        cfg: the run's config, with a number for the rows of a micro-batch.
    """
    device = device_type()
    precision = choose_precision(cfg.training, device=device, bf16_supported=has_bf16())
    half = _HALVES.get(precision) if device == "cuda" else None
    loaded = load_base(base, cfg.model, half=half, device=device)
    model = attach(loaded, cfg.lora, seed=cfg.training.seed)
    loaders = make_loaders(prepared, cfg.training, pin_memory=False)
    trainer = MedicalLoRATrainer(model, prepared.chat, loaders.train, None, cfg)
    if not trainer.forward.packs:
        loaders.unpack(cfg.training)
    before = begin_peak(trainer.accelerator.device)
    steps, seconds, tokens = _time_steps(trainer)
    step_s = seconds / max(1, steps)
    evaluations = 1 + -(-trainer.total_steps // cfg.training.eval_steps)
    a_token_s = seconds / max(1, tokens)
    evaluated = int(prepared.evaluation.lengths.sum()) * evaluations if prepared.evaluation else 0
    return {
        "steps": trainer.total_steps,
        "evaluations": evaluations if evaluated else 0,
        "probed_steps": steps,
        "step_s": step_s,
        "tokens_per_s": tokens / max(seconds, 1e-9),
        "expected_s": trainer.total_steps * step_s + evaluated * a_token_s * _FORWARD,
        "peak_bytes": peak_since(trainer.accelerator.device) - (before if device == "cpu" else 0),
    }


def _time_steps(trainer: MedicalLoRATrainer) -> tuple[int, float, int]:
    """Return (steps, seconds, tokens); the first step, which makes buffers, is not counted."""
    results = trainer.steps()
    next(results)
    _wait(trainer.accelerator.device)
    began = time.monotonic()
    steps = tokens = 0
    for result in results:
        steps, tokens = steps + 1, tokens + result.tokens
        _wait(trainer.accelerator.device)
        if steps == _STEPS or time.monotonic() - began > _LONG_S:
            break
    return steps, time.monotonic() - began, tokens


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
