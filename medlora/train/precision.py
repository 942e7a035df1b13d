"""Which number format the forward pass computes in."""

from typing import Literal

from medlora.config import TrainingConfig

Precision = Literal["no", "bf16", "fp16"]


def choose_precision(cfg: TrainingConfig, *, device: str, bf16_supported: bool) -> Precision:
    """Return accelerate's word for the mixed precision of a run.

    What the config asks for, else: bfloat16 where the GPU has it, float16 with a loss scaler
    on older GPUs, float32 on a CPU.

    Args:
        cfg: the training section.
        device: `cuda` or `cpu`.
        bf16_supported: whether that device computes in bfloat16.
    """
    if cfg.bf16 or cfg.fp16:
        return "bf16" if cfg.bf16 else "fp16"
    if device == "cpu" or (cfg.bf16 is False and cfg.fp16 is False):
        return "no"
    if bf16_supported and cfg.bf16 is not False:
        return "bf16"
    return "fp16" if cfg.fp16 is not False else "no"
