"""The loops that compete, each through its public way in; a gate stands between steps.

An engine gets the gate and the spec, trains until the gate is over, and returns the adapter's
tensors under PEFT's names.  Imports are inside: each process pays for its own alone.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.training.gate import Gate, Over
from benchmarks.training.prepare import BASE, FACTS, ROWS, SEED, Row, order, read
from benchmarks.training.shapes import ALPHA, DROPOUT, RANK, TARGETS, Shape, load, shape_of

LEARNING_RATE, WARMUP_STEPS, DECAY, CLIP = 1e-4, 5, 0.01, 1.0
IGNORE = -100
Adapter = dict[str, Tensor]


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


def ours(gate: Gate, spec: Spec) -> Adapter:
    """Train with the project's own loop, as `medlora train` sets it up."""
    from benchmarks.training.shapes import build, is_saved
    from medlora.config import from_mapping
    from medlora.jobs.fit import MedicalLoRATrainer
    from medlora.model.adapter import adapter_tensors, attach
    from medlora.model.base import load_base, load_tokenizer

    cfg = from_mapping(_our_config(spec))
    tokenizer = load_tokenizer(spec.base)
    if is_saved(spec.model_shape):
        half = torch.bfloat16 if spec.dtype == "bfloat16" else None
        base = load_base(spec.base, cfg.model, half=half)
    else:
        base = build(spec.model_shape, device=spec.device, dtype=spec.dtype)
    model = attach(base, cfg.lora, seed=SEED)
    trainer = _our_trainer(MedicalLoRATrainer, model, tokenizer, cfg, spec)
    steps = trainer.steps()
    with suppress(Over):
        gate()
        for result in steps:
            gate.count(result.tokens, result.targets)
            gate.loss(result.loss)
            gate()
    return adapter_tensors(model)


def _our_trainer(make: Any, model: Any, tokenizer: Any, cfg: Any, spec: Spec) -> Any:  # noqa: ANN401
    from medlora.data import rows as own

    rows = [own.Row(row.ids, row.learn) for row in read(Path(spec.work) / ROWS)]
    try:
        from medlora.jobs.loaders import make_loaders
    except ModuleNotFoundError:  # before rows could be packed
        from medlora.data.batches import train_loader

        pad = tokenizer.pad_token_id
        loader = train_loader(rows, batch_size=spec.micro, seed=SEED, pad_id=pad)
        return make(model, tokenizer, loader, None, cfg)
    from medlora.jobs.inputs import Prepared

    prepared = Prepared(tokenizer, own.Rows(rows), own.Rows(), {"max_length": spec.max_length})
    loaders = make_loaders(prepared, cfg.training, pin_memory=spec.device == "cuda")
    trainer = make(model, tokenizer, loaders.train, None, cfg)
    if not trainer.forward.packs:
        loaders.unpack(cfg.training)
    return trainer


def _our_config(spec: Spec) -> dict[str, Any]:
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
            "seed": SEED,
            "output_dir": spec.scratch,
        },
    }
    for key, value in spec.options.items():
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    return nested


def _peft_model(spec: Spec) -> Any:  # noqa: ANN401
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


def _common_arguments(spec: Spec) -> dict[str, Any]:
    """Return what the seed sets and the workload fixes, as TrainingArguments has it."""
    return {
        "output_dir": spec.scratch,
        "max_steps": spec.steps,
        "per_device_train_batch_size": spec.micro,
        "gradient_accumulation_steps": spec.accumulation,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": WARMUP_STEPS,
        "weight_decay": DECAY,
        "max_grad_norm": CLIP,
        "optim": "adamw_torch",
        "bf16": spec.dtype == "bfloat16",
        "use_cpu": spec.device == "cpu",
        "gradient_checkpointing": False,
        "logging_steps": 10,
        "eval_strategy": "no",
        "save_strategy": "no",
        "train_sampling_strategy": "sequential",  # the rows come in the common order
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "report_to": [],
        "seed": SEED,
        **spec.options,
    }


def _gated(trainer_class: Any, gate: Gate) -> Any:  # noqa: ANN401
    """Return a Trainer's class that counts what it is fed."""

    class Counting(trainer_class):
        def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Tensor:  # noqa: ANN401
            mask = inputs.get("attention_mask")
            # Packed rows come without a mask and without padding.
            tokens = inputs["input_ids"].numel() if mask is None else mask.sum()
            gate.count(tokens, (inputs["labels"][:, 1:] != IGNORE).sum())
            loss = super().training_step(model, inputs, *rest, **named)
            gate.loss(loss)
            return loss

    return Counting


def _callback(gate: Gate) -> Any:  # noqa: ANN401
    from transformers import TrainerCallback

    class Between(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
            gate()

        def on_step_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
            gate()

    return Between()


def _run(trainer: Any, gate: Gate) -> Adapter:  # noqa: ANN401
    import peft

    trainer.add_callback(_callback(gate))
    with suppress(Over):
        trainer.train()
    model = trainer.accelerator.unwrap_model(trainer.model)
    return _on_cpu(peft.get_peft_model_state_dict(model, save_embedding_layers=False))


def _on_cpu(tensors: Adapter) -> Adapter:
    return {name: tensor.detach().float().cpu().clone() for name, tensor in tensors.items()}


def hf(gate: Gate, spec: Spec) -> Adapter:
    """Train with Hugging Face's Trainer and PEFT."""
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    arguments = TrainingArguments(
        remove_unused_columns=False,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        **_common_arguments(spec),
    )
    tokenizer = AutoTokenizer.from_pretrained(spec.base, local_files_only=True)
    multiple = 8 if spec.micro > 1 else None  # the seed's own; alone, a row needs no padding
    trainer = _gated(Trainer, gate)(
        model=_peft_model(spec),
        args=arguments,
        train_dataset=_features(spec),
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=multiple),
        processing_class=tokenizer,
    )
    return _run(trainer, gate)


def trl(gate: Gate, spec: Spec) -> Adapter:
    """Train with TRL's SFTTrainer."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    arguments = {
        "max_length": spec.max_length,
        "completion_only_loss": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        **_common_arguments(spec),
    }
    if arguments.get("packing"):
        # Packed rows are full: so many of them hold the tokens of a step.
        facts = json.loads((Path(spec.work) / FACTS).read_text(encoding="utf-8"))
        tokens = spec.micro * spec.accumulation * facts["mean_length"]
        full = max(1, round(tokens / spec.max_length))
        arguments |= {"per_device_train_batch_size": 1, "gradient_accumulation_steps": full}
    chosen = common_rows(spec, whole=not arguments.get("packing"))
    columns = {
        "input_ids": [row.ids.tolist() for row in chosen],
        "completion_mask": [row.learn.astype(int).tolist() for row in chosen],
    }
    trainer = _gated(SFTTrainer, gate)(
        model=_peft_model(spec),
        args=SFTConfig(**arguments),
        train_dataset=Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(spec.base, local_files_only=True),
    )
    return _run(trainer, gate)


def _features(spec: Spec) -> list[dict[str, list[int]]]:
    """Return the rows in the common order, as Trainer takes them."""
    grouped = spec.options.get("train_sampling_strategy") == "group_by_length"
    return [
        {
            "input_ids": row.ids.tolist(),
            "attention_mask": [1] * len(row.ids),
            "labels": [int(t) if on else IGNORE for t, on in zip(row.ids, row.learn, strict=True)],
        }
        for row in common_rows(spec, whole=not grouped)
    ]


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
