"""How long the loop waits for a checkpoint of a 7B model's adapter (r 32 on q/k/v/o).

    python benchmarks/checkpoint.py --folder DIR [--saves 5]

The base stays on torch's meta device: only adapter and optimizer are real, about 400 MB.  Prints
JSON: seconds that the loop waits for the copy in memory, and seconds until the folder is committed
by the thread behind it; each per save, the first one being the one that allocates.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from medlora.checkpoint.state import Progress, Snapshot
from medlora.checkpoint.store import write_checkpoint
from medlora.checkpoint.writer import Writer


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--saves", type=int, default=5)
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    model, optimizer = _model()
    snapshot, writer, waits, totals, size = Snapshot(), Writer(), [], [], 0
    for number in range(chosen.saves):
        began = time.monotonic()
        snapshot.take(model, optimizer)
        folder = chosen.folder / f"step_{number}"
        writer.submit(partial(_write, snapshot, model, folder))
        waits.append(round(time.monotonic() - began, 3))
        writer.wait()
        totals.append(round(time.monotonic() - began, 2))
        size = sum(path.stat().st_size for path in folder.iterdir())
        shutil.rmtree(folder)
    facts = {
        "bytes": size,
        "loop_waits_s": waits,
        "committed_after_s": totals,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "commit": _commit(),
    }
    print(json.dumps(facts, indent=2))
    return 0


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(  # noqa: S603  (a fixed command)
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return done.stdout.strip() or "unknown"


def _write(snapshot: Snapshot, model: peft.PeftModel, folder: Path) -> None:
    files = {**snapshot.adapter_file(model), **snapshot.state_files(Progress())}
    write_checkpoint(folder, files, {"kind": "checkpoint"})


def _model() -> tuple[peft.PeftModel, torch.optim.AdamW]:
    """Return Llama-2-7B's shape with a real adapter and a real optimizer state."""
    shape = LlamaConfig(
        vocab_size=32_000, hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32
    )
    with torch.device("meta"):
        base = LlamaForCausalLM(shape)
        targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
        lora = peft.LoraConfig(r=32, lora_alpha=64, target_modules=targets, task_type="CAUSAL_LM")
        model = peft.get_peft_model(base, lora)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.requires_grad:
                real = torch.nn.Parameter(torch.full(parameter.shape, 0.01))
                real.grad = torch.ones_like(real)
                setattr(module, name, real)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    optimizer.step()
    return model, optimizer


if __name__ == "__main__":
    sys.exit(main())
