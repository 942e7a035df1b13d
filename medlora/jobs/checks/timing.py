"""What a base answers before the first step of a run, and how long its steps take.

Nothing is written.
"""

import time

import torch

from medlora.config import RunConfig
from medlora.inputs.prepare import InputFiles, Prepared
from medlora.jobs.checks.schema import Probe
from medlora.plan.device import begin_peak, peak_since
from medlora.trainer.build import build_model, build_trainer
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer

_STEPS, _LONG_S = 3, 4.0  # probed at most; no further step begins after so long
_FORWARD = 0.4  # of a step's time a token, which has a backward pass as well


def try_out(
    input_files: InputFiles, prepared: Prepared, cfg: RunConfig, *, timed: bool
) -> Probe | None:
    """Load the base and ask it what a run asks it before its first step; time a few steps.

    Args:
        input_files: where the inputs are.
        prepared: the rows.
        cfg: the run's config, with a number for the rows of a micro-batch.
        timed: whether steps are taken, in memory.

    Returns:
        Times in seconds and bytes, as JSON values; None if no step was taken.

    Raises:
        MedloraError: what would end a run; see `build_model` and `build_trainer`.
    """
    model = build_model(input_files.base, cfg, suites=input_files.suites)
    if cfg.training.engine != "medlora":
        return None
    trainer = build_trainer(model, prepared, cfg)
    return _timed(trainer, prepared, cfg) if timed else None


def _timed(trainer: MedicalLoRATrainer, prepared: Prepared, cfg: RunConfig) -> Probe:
    device = trainer.device
    before = begin_peak(device)
    steps, seconds, tokens = _time_steps(trainer)
    step_s = seconds / max(1, steps)
    evaluations = 1 + -(-trainer.engine.total_steps // cfg.training.eval_steps)
    a_token_s = seconds / max(1, tokens)
    evaluated = int(prepared.evaluation.lengths.sum()) * evaluations if prepared.evaluation else 0
    return {
        "steps": trainer.engine.total_steps,
        "evaluations": evaluations if evaluated else 0,
        "probed_steps": steps,
        "step_s": step_s,
        "tokens_per_s": tokens / max(seconds, 1e-9),
        "expected_s": trainer.engine.total_steps * step_s + evaluated * a_token_s * _FORWARD,
        "peak_bytes": peak_since(device) - (before if device.type == "cpu" else 0),
    }


def _time_steps(trainer: MedicalLoRATrainer) -> tuple[int, float, int]:
    """Return (steps, seconds, tokens); the first step, which makes buffers, is not counted."""
    results = trainer.steps()
    next(results)
    _wait(trainer.device)
    began = time.monotonic()
    steps = tokens = 0
    for result in results:
        steps, tokens = steps + 1, tokens + result.tokens
        _wait(trainer.device)
        if steps == _STEPS or time.monotonic() - began > _LONG_S:
            break
    return steps, time.monotonic() - began, tokens


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
