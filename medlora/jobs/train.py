"""`medlora train`: data, model and config in; adapter and evidence out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import torch
from peft import PeftModel

from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.store import read_manifest
from medlora.config import RunConfig
from medlora.data.batches import eval_loader, pad_id_of, train_loader
from medlora.errors import ConfigError, MissingPartError, OutOfMemoryError
from medlora.files import make_folder, sweep
from medlora.jobs import demo
from medlora.jobs.fit import MedicalLoRATrainer, TrainResult, device_type, has_bf16
from medlora.jobs.inputs import Inputs, Prepared, prepare, read_inputs
from medlora.jobs.settings import Plan
from medlora.logs import logger
from medlora.model.adapter import adapted_modules, attach, trainable_parameters
from medlora.model.base import load_base
from medlora.report.manifest import SCHEMA, config_facts, hardware, software
from medlora.train.precision import choose_precision

_log = logger(__name__)
FINAL = "final"


def run(plan: Plan) -> None:
    """Train one run to the end, or say that it is finished already.

    Raises:
        MedloraError: with the exit code that says whether to mend the input or run again.
    """
    cfg = plan.resolved.config
    if plan.demo:
        demo.announce()
    _log.info("run %s, device %s", cfg.run_name, device_type())
    folder = _run_folder(plan)
    if (folder / FINAL).exists():
        _check_finished(folder / FINAL, read_inputs(plan))
        click.echo(f"{cfg.run_name} is finished already: {folder / FINAL}")
        return
    with only_writer(folder), _memory_errors(cfg):
        sweep(folder)
        result, seconds = _train(plan, read_inputs(plan))
        click.echo(_summary(result, seconds, demo=plan.demo))
        click.echo(f"adapter and manifest: {folder / FINAL}")


def _run_folder(plan: Plan) -> Path:
    cfg = plan.resolved.config
    if plan.volatile_output and not plan.demo:
        raise MissingPartError(
            f"{cfg.training.output_dir} is not mounted: the result would vanish with the container",
            fix="mount a folder there (-v /path:/checkpoints) or set MEDLORA_CHECKPOINTS",
        )
    folder = Path(cfg.training.output_dir) / cfg.run_name
    make_folder(folder)
    return folder


def _check_finished(final: Path, inputs: Inputs) -> None:
    """Refuse to take another run's result, or a damaged one, for this run's."""
    manifest = read_manifest(final)
    if manifest and manifest.get("fingerprint") == inputs.facts["fingerprint"]:
        return
    state = "is damaged" if manifest is None else "was trained with other data, base or config"
    raise ConfigError(
        f"{final} holds a result that {state}",
        fix="choose another run_name, or move the folder away",
    )


def _train(plan: Plan, inputs: Inputs) -> tuple[TrainResult, float]:
    """Train, write the final folder; return the outcome and the seconds that training took."""
    started, cfg = datetime.now(UTC), plan.resolved.config
    prepared = prepare(inputs, cfg.data)
    model = _adapted_model(inputs.base, cfg)
    trainer = _trainer(model, prepared, cfg)
    before = demo.ask(model, prepared.tokenizer) if plan.demo else []
    clock = time.monotonic()
    result = trainer.train()
    seconds = round(time.monotonic() - clock, 1)
    if plan.demo:
        demo.show(before, demo.ask(model, prepared.tokenizer))
    facts = {
        "kind": "run",
        "schema": SCHEMA,
        "status": "finished",
        "demo": plan.demo,
        "run_name": cfg.run_name,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **inputs.facts,
        "config": config_facts(plan.resolved),
        "seeds": {"training.seed": cfg.training.seed},
        "tokens": prepared.facts,
        "adapter": {
            "trainable_parameters": trainable_parameters(model),
            "modules": adapted_modules(model),
        },
        "precision": trainer.precision,
        "software": software(),
        "hardware": hardware(trainer.accelerator.device),
        "result": {**asdict(result), "train_seconds": seconds},
    }
    trainer.save(FINAL, step=result.steps, facts=facts)
    return result, seconds


def _adapted_model(base: Path, cfg: RunConfig) -> PeftModel:
    device = device_type()
    precision = choose_precision(cfg.training, device=device, bf16_supported=has_bf16())
    halves = {"bf16": torch.bfloat16, "fp16": torch.float16}
    half = halves.get(precision) if device == "cuda" else None
    model = attach(load_base(base, cfg.model, half=half), cfg.lora, seed=cfg.training.seed)
    modules = (f"{name} x {count}" for name, count in adapted_modules(model).items())
    _log.info(
        "adapter on %s: %d trainable parameters", ", ".join(modules), trainable_parameters(model)
    )
    return model


def _trainer(model: PeftModel, prepared: Prepared, cfg: RunConfig) -> MedicalLoRATrainer:
    training, tokenizer = cfg.training, prepared.tokenizer
    pad = pad_id_of(tokenizer.pad_token_id, tokenizer.eos_token_id)
    pin = training.dataloader_pin_memory and device_type() == "cuda"
    train = train_loader(
        prepared.train.rows,
        batch_size=training.per_device_train_batch_size,
        seed=training.seed,
        pad_id=pad,
        pin_memory=pin,
    )
    held = prepared.evaluation.rows
    size = training.per_device_eval_batch_size
    evaluation = eval_loader(held, batch_size=size, pad_id=pad, pin_memory=pin) if held else None
    trainer = MedicalLoRATrainer(model, tokenizer, train, evaluation, cfg)
    _log.info("precision %s, %d steps", trainer.precision, trainer.total_steps)
    if training.warmup_steps >= trainer.total_steps:
        _log.info(
            "note: training.warmup_steps is %d and the run has %d steps: the peak learning rate "
            "is never reached",
            training.warmup_steps,
            trainer.total_steps,
        )
    return trainer


def _summary(result: TrainResult, seconds: float, *, demo: bool) -> str:
    lines = [f"\n{'DEMO ' if demo else ''}finished: {result.steps} steps in {seconds} s"]
    if result.eval_loss is not None and result.base_eval_loss is not None:
        lines.append(
            f"held-out loss: base {result.base_eval_loss:.4f} -> adapter {result.eval_loss:.4f} "
            f"nats a token (best {result.best_eval_loss:.4f} at step {result.best_step})"
        )
    return "\n".join(lines)


@contextmanager
def _memory_errors(cfg: RunConfig) -> Iterator[None]:
    """Turn a GPU's or the system's refusal of memory into advice."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        size = cfg.training.per_device_train_batch_size
        raise OutOfMemoryError(
            f"out of memory with training.per_device_train_batch_size {size} and "
            f"data.max_length {cfg.data.max_length}",
            fix="halve the batch size and double gradient_accumulation_steps (the mathematics "
            "stays the same), shorten data.max_length, or set gradient_checkpointing: true",
        ) from error
