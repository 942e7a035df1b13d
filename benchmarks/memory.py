"""Predicted memory against what real training steps took, setting by setting, on this device.

Each setting trains a few steps of random rows in a process of its own.  On a CPU, what a step adds
to the process's resident memory is compared (activations, temporaries, logits, gradients, the
optimizer's state); on a GPU the allocator's peak, which has the weights as well.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

from medlora.config import from_mapping
from medlora.data.batches import train_loader
from medlora.data.micro_batches import Collate, Layout
from medlora.data.token_rows import Row
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.plan.device import Device, begin_peak, peak_since, this_device
from medlora.plan.memory_forecast import Forecast
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer
from tests.tiny import save_model

_STEPS = 2  # of which the second has the optimizer's state
# glibc raises, with every large block that is freed, the size from which on it gives memory back,
# up to 32 MiB: what is freed below stays with the process.  A fixed size keeps it from that, so
# that resident memory is the memory in use.  Source: mallopt(3), M_MMAP_THRESHOLD.
_STEADY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 18)}
_LLAMA = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "vocab_size": 4000,
    "max_position_embeddings": 4096,
}
_QWEN = {**_LLAMA, "model_type": "qwen2", "num_key_value_heads": 2, "tie_word_embeddings": True}
_CHECKPOINTED = {"training": {"gradient_checkpointing": True}}
# name: (shape of the base, config, rows of a micro-batch, micro-batches, tokens of a row)
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], int, int, int]] = {
    "llama, 4 x 512": (_LLAMA, {}, 4, 2, 512),
    "llama, 4 x 512, recomputed": (_LLAMA, _CHECKPOINTED, 4, 2, 512),
    "llama, 1 x 1024": (_LLAMA, {}, 1, 4, 1024),
    "llama, vocabulary of 32,000": ({**_LLAMA, "vocab_size": 32_000}, {}, 4, 2, 512),
    "llama, all linear layers, no dropout": (
        _LLAMA,
        {"lora": {"target_modules": "all-linear", "lora_dropout": 0}},
        4,
        2,
        512,
    ),
    "llama, rank 256": (_LLAMA, {"lora": {"r": 256}}, 4, 4, 384),
    "llama, padded rows": (_LLAMA, {"training": {"packing": False}}, 4, 2, 512),
    "llama, all logits": (_LLAMA, {"training": {"targets_only_loss": False}}, 4, 2, 512),
    "llama, PEFT's own layers": (_LLAMA, {"training": {"lean_lora": False}}, 4, 2, 512),
    "qwen2, grouped queries, tied head": (_QWEN, {}, 4, 2, 512),
    "qwen2, recomputed, 8 x 512": (_QWEN, _CHECKPOINTED, 8, 1, 512),
}


def measure(name: str) -> dict[str, Any]:
    """Train a setting for two steps; return bytes predicted and measured."""
    shape, wishes, rows, accumulated, length = SETTINGS[name]
    training = {
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": accumulated,
        "per_device_eval_batch_size": 1,
        "gradient_checkpointing": False,
        "max_steps": _STEPS,
        **wishes.get("training", {}),
    }
    cfg = from_mapping({**wishes, "training": training, "data": {"max_length": length}})
    with TemporaryDirectory() as folder:
        base = save_model(AutoConfig.for_model(**shape), Path(folder))
        device = this_device()
        forecast = Forecast(base, cfg, device)
        predicted = forecast.footprint(rows, accumulated)
        half = torch.bfloat16 if device.kind == "cuda" else None
        loaded = load_base(base, cfg.model, half=half, device=device.kind)
        model = attach(loaded, cfg.lora, seed=0)
        trainer = _trainer(model, cfg, shape["vocab_size"], length)
        measured = _peak_of_steps(trainer, device)
    of_steps = predicted.step + predicted.optimizer
    told = of_steps if device.kind == "cpu" else predicted.peak - predicted.other
    return {"setting": name, "predicted": told, "measured": measured, "device": device.name}


def _trainer(model: Any, cfg: Any, vocabulary: int, length: int) -> MedicalLoRATrainer:  # noqa: ANN401
    random = np.random.default_rng(0)
    step = cfg.training.per_device_train_batch_size * cfg.training.gradient_accumulation_steps
    learn = np.ones(length, dtype=bool)
    rows = [Row(random.integers(3, vocabulary, length), learn) for _ in range(_STEPS * step)]
    layout: Layout = "grouped" if cfg.training.packing is False else "packed"
    size = cfg.training.per_device_train_batch_size
    collate = Collate(layout, batch_size=size, max_length=length, pad_id=0)
    loader = train_loader(rows, collate, step_rows=step, seed=0)
    return MedicalLoRATrainer(model, _Tokenizer(), loader, config=cfg)  # type: ignore[arg-type]


class _Tokenizer:
    """Nothing to save."""

    def save_pretrained(self, folder: str) -> None:
        """Write no file."""


def _peak_of_steps(trainer: MedicalLoRATrainer, device: Device) -> int:
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = begin_peak(trainer.device)
    list(trainer.steps())
    peak = peak_since(trainer.device)
    return peak if device.kind == "cuda" else peak - before


def main() -> None:
    """Print a line for each setting and the largest error; write all as JSON if wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one setting, in this very process")
    parser.add_argument("--as-it-is", action="store_true", help="leave the allocator as it is")
    parser.add_argument("--output", type=Path, help="JSON file")
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(measure(asked.only)))
        return
    found = []
    for name in SETTINGS:
        command = [sys.executable, "-m", "benchmarks.memory", "--only", name]
        variables = {**os.environ, **({} if asked.as_it_is else _STEADY)}
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=True, env=variables
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        one = found[-1]
        one["error"] = round(one["predicted"] / one["measured"] - 1, 4)
        mib = (one[key] / 2**20 for key in ("predicted", "measured"))
        print("{:<40} {:>8.1f} {:>8.1f} MiB  {:+.1%}".format(name, *mib, one["error"]), flush=True)
        if asked.output:
            asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"largest error: {max(abs(one['error']) for one in found):.1%}")


if __name__ == "__main__":
    main()
