"""`medlora train`: data, model and config in; adapter and evidence out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import torch
from peft import PeftModel

from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.store import DamagedError, read_manifest
from medlora.config import RunConfig
from medlora.data.batches import eval_loader, pad_id_of, train_loader
from medlora.errors import ConfigError, MissingPartError, OutOfMemoryError
from medlora.files import make_folder, rename, sweep
from medlora.jobs import demo
from medlora.jobs.fit import MedicalLoRATrainer, TrainResult, device_type, has_bf16
from medlora.jobs.inputs import Inputs, Prepared, prepare, read_inputs
from medlora.jobs.settings import Plan
from medlora.logs import logger
from medlora.model.adapter import adapted_modules, attach, trainable_parameters
from medlora.model.base import load_base
from medlora.report.fingerprint import differences
from medlora.report.manifest import SCHEMA, config_facts, hardware, software
from medlora.runtime import Stop
from medlora.train.optim import warmup_steps
from medlora.train.precision import choose_precision

_log = logger(__name__)
FINAL = "final"


def run(
    plan: Plan, *, stop: Stop | None = None, fresh: bool = False, allow: tuple[str, ...] = ()
) -> None:
    """Train one run to the end, going on where it was interrupted; or say that it is done.

    Args:
        plan: what to run.
        stop: where signals are noted.
        fresh: set what the run's folder holds aside and start over.
        allow: names of keys or inputs that may differ from the checkpoint's.

    Raises:
        MedloraError: with the exit code that says whether to mend the input or run again.
    """
    cfg = plan.resolved.config
    if plan.demo:
        demo.announce()
    _log.info("run %s, device %s", cfg.run_name, device_type())
    folder = _run_folder(plan)
    if fresh:
        _set_aside(folder)
    if (folder / FINAL).exists():
        _check_finished(folder / FINAL, read_inputs(plan))
        click.echo(f"{cfg.run_name} is finished already: {folder / FINAL}")
        return
    with only_writer(folder), _memory_errors(cfg):
        sweep(folder)
        result = _train(plan, read_inputs(plan), stop=stop or Stop(), allow=allow)
        click.echo(_summary(result, is_demo=plan.demo))
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


def _set_aside(folder: Path) -> None:
    """Give the run's folder another name, so that nothing is lost, and make a new one."""
    if any(path.name != ".lock" for path in folder.iterdir()):
        with only_writer(folder):
            number = next(n for n in range(1, 10_000) if not _old_name(folder, n).exists())
            rename(folder, _old_name(folder, number))
        _log.info("what was there is now %s", _old_name(folder, number))
        make_folder(folder)


def _old_name(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.old-{number}")


def _check_finished(final: Path, inputs: Inputs) -> None:
    """Refuse to take another run's result, or a damaged one, for this run's."""
    try:
        manifest = read_manifest(final)
    except DamagedError as error:
        raise ConfigError(f"{final} is damaged: {error}", fix=_OTHER_NAME) from None
    _refuse_changes(str(final), differences(manifest.get("inputs", {}), inputs.facts["inputs"]))


_OTHER_NAME = "choose another run_name, or set the folder aside with --fresh"


def _refuse_changes(what: str, changes: list[str]) -> None:
    if changes:
        lines = "".join(f"\n  {change}" for change in changes)
        raise ConfigError(f"{what} was made with other inputs:{lines}", fix=_OTHER_NAME)


def _checker(inputs: Inputs, allow: tuple[str, ...]) -> Callable[[dict[str, Any]], None]:
    """Return a function that refuses a checkpoint of other inputs, field by field."""

    def check(manifest: dict[str, Any]) -> None:
        stated, present = manifest.get("inputs", {}), inputs.facts["inputs"]
        accepted = set(differences(stated, present)) - set(
            differences(stated, present, ignore=allow)
        )
        for change in sorted(accepted):
            _log.warning("allowed: %s", change)
        changes = differences(stated, present, ignore=allow)
        if changes:
            lines = "".join(f"\n  {change}" for change in changes)
            raise ConfigError(
                f"the run's checkpoints were made with other inputs:{lines}",
                fix="undo the change, accept it with --allow-change NAME, "
                "choose another run_name, or start over with --fresh",
            )

    return check


def _train(plan: Plan, inputs: Inputs, *, stop: Stop, allow: tuple[str, ...]) -> TrainResult:
    """Train and write the final folder."""
    started, cfg = datetime.now(UTC), plan.resolved.config
    prepared = prepare(inputs, cfg.data)
    model = _adapted_model(inputs.base, cfg)
    facts = {
        "schema": SCHEMA,
        "demo": plan.demo,
        "run_name": cfg.run_name,
        **inputs.facts,
        "allowed_changes": sorted(allow),
        "software": software(),
    }
    trainer = _trainer(model, prepared, cfg, facts=facts, stop=stop)
    before = demo.ask(model, prepared.tokenizer) if plan.demo else []
    trainer.resume(check=_checker(inputs, allow))
    with stop.gently():  # a signal after the last step must not cost the result
        result = trainer.train()
        trainer.save(FINAL, facts=_final_facts(plan, prepared, trainer, result, started))
    if plan.demo:
        demo.show(before, demo.ask(model, prepared.tokenizer))
    return result


def _final_facts(
    plan: Plan,
    prepared: Prepared,
    trainer: MedicalLoRATrainer,
    result: TrainResult,
    started: datetime,
) -> dict[str, Any]:
    return {
        "kind": "run",
        "status": "finished",
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config_facts(plan.resolved),
        "seeds": {"training.seed": plan.resolved.config.training.seed},
        "tokens": prepared.facts,
        "adapter": {
            "trainable_parameters": trainable_parameters(trainer.model),
            "modules": adapted_modules(trainer.model),
        },
        "precision": trainer.precision,
        "hardware": hardware(trainer.accelerator.device),
        "result": asdict(result),
    }


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


def _trainer(
    model: PeftModel, prepared: Prepared, cfg: RunConfig, *, facts: dict[str, Any], stop: Stop
) -> MedicalLoRATrainer:
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
    trainer = MedicalLoRATrainer(model, tokenizer, train, evaluation, cfg, facts=facts, stop=stop)
    _log.info("precision %s, %d steps", trainer.precision, trainer.total_steps)
    warmup = warmup_steps(training, total_steps=trainer.total_steps)
    if warmup >= trainer.total_steps:
        _log.info(
            "note: the warm-up has %d steps and the run %d: the peak learning rate is never "
            "reached; lower training.warmup_steps",
            warmup,
            trainer.total_steps,
        )
    return trainer


def _summary(result: TrainResult, *, is_demo: bool) -> str:
    lines = [f"\n{'DEMO ' if is_demo else ''}finished: {result.steps} steps in {result.wall_s} s"]
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
