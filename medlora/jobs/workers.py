"""What several workers cannot do, told before anything is loaded."""

from medlora.config import RunConfig
from medlora.errors import ConfigError
from medlora.logs import logger

_log = logger(__name__)


def check_workers(cfg: RunConfig, workers: int) -> None:
    """Refuse what so many workers, more than one, cannot do.

    Raises:
        ConfigError: the config is for one worker.
    """
    alone = {
        "privacy.dp.target_epsilon is set": _is_private(cfg),
        "training.engine is huggingface": cfg.training.engine == "huggingface",
    }
    for what, applies in alone.items():
        if applies:
            raise ConfigError(
                f"{workers} workers are asked for and {what}, which is for a single one",
                fix="set MEDLORA_NPROC=1 and ask for one machine, or change that key",
            )
    _check_sharding(cfg)
    parts = cfg.training.gradient_accumulation_steps
    if parts < workers:
        _log.warning(
            "%d workers share the %d micro-batches of a step: %d have nothing to do; raise "
            "training.gradient_accumulation_steps and lower per_device_train_batch_size",
            workers,
            parts,
            workers - parts,
        )


def _check_sharding(cfg: RunConfig) -> None:
    if cfg.training.sharding == "none":
        return
    conflicts = {
        "model.load_in_4bit is true": cfg.model.load_in_4bit,
        "training.torch_compile is true": cfg.training.torch_compile,
        "training.fp16 is true": cfg.training.fp16,
    }
    for what, applies in conflicts.items():
        if applies:
            raise ConfigError(
                f"training.sharding is full and {what}",
                fix="change one of the two: sharded weights are neither quantized, compiled nor "
                "trained with a loss scaler here",
            )


def useful_workers(cfg: RunConfig, gpus: int) -> int:
    """Return how many of a machine's GPUs a run can use, where nobody asked for a number."""
    if _is_private(cfg) or cfg.training.engine == "huggingface":
        return 1
    return max(1, min(gpus, cfg.training.gradient_accumulation_steps))


def _is_private(cfg: RunConfig) -> bool:
    return cfg.privacy.dp.target_epsilon is not None
