"""Hugging Face's Trainer and TRL's SFTTrainer; a callback gates them between steps."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.training.gate import Gate, Over
from benchmarks.training.prepare import FACTS, SEED
from benchmarks.training.spec import (
    CLIP,
    DECAY,
    IGNORE,
    LEARNING_RATE,
    WARMUP_STEPS,
    Adapter,
    Spec,
    common_rows,
    on_cpu,
    peft_model,
)


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
        model=peft_model(spec),
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
        model=peft_model(spec),
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
    return on_cpu(peft.get_peft_model_state_dict(model, save_embedding_layers=False))
