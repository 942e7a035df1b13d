"""litgpt's LoRA: its model, its collator and its `fit`, called as they are.

Ours is what its `main` does around them: the base's weights by its own converter, the optimizer,
a schedule like everybody's.  The gate stands in the loader: when a step's first micro-batch is
asked for, the step before it is complete.  Its loss is a mean of the micro-batches' means, and it
does not clip.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning import Fabric
from litgpt.args import EvalArgs, TrainArgs
from litgpt.data.base import get_sft_collate_fn
from litgpt.finetune.lora import fit
from litgpt.lora import GPT, Config, mark_only_lora_as_trainable
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
from litgpt.utils import instantiate_torch_optimizer
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.training.gate import Gate, Over
from benchmarks.training.prepare import SEED, Row
from benchmarks.training.shapes import ALPHA, DROPOUT, RANK, Shape, load
from benchmarks.training.spec import (
    DECAY,
    IGNORE,
    LEARNING_RATE,
    WARMUP_STEPS,
    Adapter,
    Spec,
    common_rows,
    on_cpu,
)

_PRECISION = {"float32": "32-true", "bfloat16": "bf16-true"}
_EVERY = 10  # steps between lines of its log, as for the others


def train(gate: Gate, spec: Spec) -> Adapter:
    """Train until the gate is over; return what the adapter adds, under the base's names."""
    fabric = Fabric(accelerator=spec.device, devices=1, precision=_PRECISION[spec.dtype])
    fabric.seed_everything(SEED)
    model = fabric.setup_module(_model(fabric, spec))
    optimizer = instantiate_torch_optimizer(
        {
            "class_path": "torch.optim.AdamW",
            "init_args": {"lr": LEARNING_RATE, "weight_decay": DECAY},
        },
        model.parameters(),
    )
    optimizer = fabric.setup_optimizers(optimizer)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / WARMUP_STEPS)
    )
    loader, held = (fabric.setup_dataloaders(one) for one in _loaders(gate, spec))
    arguments = TrainArgs(
        save_interval=None,
        log_interval=_EVERY * spec.accumulation,
        global_batch_size=spec.micro * spec.accumulation,
        micro_batch_size=spec.micro,
        max_steps=spec.steps + 1,  # the last one's end is seen when the next begins
        epochs=100,
        max_seq_length=spec.max_length,
    )
    never = EvalArgs(interval=10**9, max_new_tokens=1, max_iters=1)
    with suppress(Over):
        fit(
            fabric,
            model,
            optimizer,
            schedule,
            _Gated(loader, gate, every=spec.accumulation),
            held,
            1,
            spec.base,
            Path(spec.scratch),
            arguments,
            never,
            None,
        )
    return _updates(model.module, spec.model_shape)


class _Gated:
    """A loader that waits before each step's first micro-batch."""

    def __init__(self, loader: Any, gate: Gate, *, every: int) -> None:  # noqa: ANN401
        self._loader, self._gate, self._every = loader, gate, every
        self.dataset = loader.dataset

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        batches, taken = iter(self._loader), 0
        while True:
            if taken % self._every == 0:
                self._gate()
            taken += 1
            yield next(batches)


def _model(fabric: Fabric, spec: Spec) -> GPT:
    """Return its model with the common base's weights."""
    shape = spec.model_shape
    config = Config(
        name="benchmark",
        block_size=shape.positions,
        vocab_size=shape.vocab,
        padded_vocab_size=shape.vocab,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_query_groups=shape.kv_heads,
        n_embd=shape.hidden,
        intermediate_size=shape.intermediate,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=1e-6,
        mlp_class_name="LLaMAMLP",
        lora_r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=DROPOUT,
        lora_query=True,
        lora_key=True,
        lora_value=True,
        lora_projection=True,
    )
    with fabric.init_module():
        model = GPT(config)
    converted: dict[str, Tensor] = {}
    base = load(spec.base, shape, device=spec.device, dtype=spec.dtype)
    copy_weights_hf_llama(config, {}, converted, base.state_dict())
    left = model.load_state_dict(converted, strict=False)
    if left.unexpected_keys or any("lora" not in name for name in left.missing_keys):
        raise ValueError(f"weights do not fit: {left.unexpected_keys[:2]} {left.missing_keys[:2]}")
    mark_only_lora_as_trainable(model)
    return model


def _loaders(gate: Gate, spec: Spec) -> tuple[DataLoader, DataLoader]:
    """Return the rows in the common order through its own collator, and two for its self-check."""
    items = [_item(row) for row in common_rows(spec, whole=True)]
    pad = get_sft_collate_fn(max_seq_length=spec.max_length, pad_id=0, ignore_index=IGNORE)

    def collate(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        tokens = sum(len(sample["input_ids"]) for sample in samples)
        gate.count(tokens, sum(int((s["labels"][1:] != IGNORE).sum()) for s in samples))
        return pad(samples)

    train = DataLoader(items, batch_size=spec.micro, collate_fn=collate)
    return train, DataLoader(items[:2], batch_size=1, collate_fn=pad)


def _item(row: Row) -> dict[str, Tensor]:
    ids = torch.from_numpy(row.ids).long()
    return {
        "input_ids": ids,
        "labels": torch.where(torch.from_numpy(row.learn), ids, torch.full_like(ids, IGNORE)),
    }


def _updates(model: GPT, shape: Shape) -> Adapter:
    """Return what its adapter adds to each of the base's matrices.

    No adapter of PEFT's shape can say it: where q, k and v all have one, its update is laid out
    q, k, v over a matrix that holds them interleaved by groups, so that a head's update mixes.
    """
    head, shared = shape.hidden // shape.heads, shape.heads // shape.kv_heads
    found: Adapter = {}
    with torch.no_grad():
        for layer, block in enumerate(model.transformer.h):
            prefix = f"model.layers.{layer}.self_attn"
            joint = block.attn.attn.get_lora_AB().view(shape.kv_heads, shared + 2, head, -1)
            found[f"{prefix}.q_proj.weight"] = joint[:, :shared].reshape(-1, shape.hidden)
            found[f"{prefix}.k_proj.weight"] = joint[:, shared].reshape(-1, shape.hidden)
            found[f"{prefix}.v_proj.weight"] = joint[:, shared + 1].reshape(-1, shape.hidden)
            found[f"{prefix}.o_proj.weight"] = block.attn.proj.get_lora_AB()
    return on_cpu(found)
