"""The model with its adapter, and what trains it: built alike for a run and for a check of one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from peft import PeftModel

from medlora.config import RunConfig
from medlora.evaluate.generate import check_writes
from medlora.evaluate.suite import Suite
from medlora.inputs.prepare import Prepared
from medlora.logs import logger
from medlora.model.adapter import adapted_modules, attach, trainable_parameters
from medlora.model.base import load_base
from medlora.plan.device import device_type, half_of, this_device
from medlora.plan.disk import refuse_full
from medlora.train.optim import warmup_steps
from medlora.train.step_in_pieces import memory_errors
from medlora.trainer.context import RunContext
from medlora.trainer.huggingface import HuggingFaceTrainer
from medlora.trainer.loaders import make_loaders
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer
from medlora.trainer.trainer_interface import RunTrainer

_log = logger(__name__)


def build_model(base: Path, cfg: RunConfig, *, suites: Sequence[Suite]) -> PeftModel:
    """Return the base with a new adapter.

    Args:
        base: folder of the base model.
        cfg: of the run.
        suites: of its gate.

    Raises:
        ConfigError: the base has no such target modules.
        MissingPartError: the base cannot be loaded, or cannot write where it will be asked.
        OutOfMemoryError: it does not fit.
        StorageError: the disk has no room for its adapter.
    """
    device = this_device()
    waits = cfg.training.sharding == "full"  # for its layers to be spread over the devices
    with _memory_errors(cfg):
        loaded = load_base(
            base,
            cfg.model,
            half=half_of(cfg.training, device),
            device="cpu" if waits else device.kind,
        )
        model = attach(loaded, cfg.lora, seed=cfg.training.seed)
    refuse_full(cfg, model)
    if suites or cfg.training.generation_steps is not None:
        check_writes(model)
    modules = (f"{name} x {count}" for name, count in adapted_modules(model).items())
    _log.info(
        "adapter on %s: %d trainable parameters", ", ".join(modules), trainable_parameters(model)
    )
    return model


def build_trainer(
    model: PeftModel, prepared: Prepared, cfg: RunConfig, context: RunContext | None = None
) -> MedicalLoRATrainer:
    """Return what trains a model that `build_model` made, on rows laid out as it can take them.

    Raises:
        ConfigError: the config asks for what this base or device cannot do.
        DivergedError: no number that the base computes is finite.
        MissingPartError: the base is no causal language model.
        OutOfMemoryError: it does not fit.
    """
    training = cfg.training
    loaders = make_loaders(
        prepared, training, pin_memory=device_type() == "cuda", private=cfg.is_private
    )
    with _memory_errors(cfg):
        trainer = MedicalLoRATrainer(
            model, prepared.chat, loaders.train, loaders.evaluation, cfg, context
        )
    engine = trainer.engine
    if not engine.forward.packs:
        loaders.unpack(training)
    _log.info(
        "precision %s, %d steps, rows %s",
        engine.precision,
        engine.total_steps,
        engine.facts["layout"],
    )
    warmup = warmup_steps(training, total_steps=engine.total_steps)
    if training.warmup_steps not in (None, warmup):
        _log.info(
            "training.warmup_steps is %d and the run has %d steps: the warm-up was shortened to "
            "%d, a tenth of the run",
            training.warmup_steps,
            engine.total_steps,
            warmup,
        )
    return trainer


def _memory_errors(cfg: RunConfig) -> AbstractContextManager[None]:
    """Turn a refusal of memory outside of the loop, which helps itself, into advice."""
    return memory_errors(
        f"out of memory while {cfg.model.base_model_name} was loaded or moved",
        fix="set model.load_in_4bit: true or model.dtype: bfloat16, or use a device with "
        "more memory",
    )


TRAINERS: Mapping[str, Callable[[PeftModel, Prepared, RunConfig, RunContext], RunTrainer]] = {
    "medlora": build_trainer,
    "huggingface": HuggingFaceTrainer,
}
"""`training.engine` -> what makes its trainer."""
