"""How long the loop waits for a checkpoint of a 7B model's adapter (r 32 on q/k/v/o).

    python -m benchmarks.checkpoint --folder DIR [--saves 20] [--busy 0]

The base stays on torch's meta device: only adapter and optimizer are real, about 400 MB.  Prints
JSON: seconds that the loop waits for each copy in memory, how many of these were over 0.2 s, and
seconds until the folder is committed by the thread behind it.  `--busy` takes as many processors
away: processes that do nothing but count.
"""

import argparse
import json
import multiprocessing
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.training.show import commit, machine
from medlora.checkpoint.background_writer import Writer
from medlora.checkpoint.folder_format import write_checkpoint
from medlora.checkpoint.state import Progress, Snapshot
from medlora.train.garbage import uncollected

_BOUND_S = 0.2


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--saves", type=int, default=20)
    options.add_argument("--busy", type=int, default=0)
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    model, optimizer = _model()
    with _counting(chosen.busy), uncollected():  # as the trainer does
        facts = _measure(chosen.folder, chosen.saves, model, optimizer)
    about = {"busy": chosen.busy, "torch": torch.__version__, "commit": commit()}
    print(json.dumps({**facts, **about, **machine("cpu")}, indent=2))
    return 0


def _measure(
    folder: Path, saves: int, model: peft.PeftModel, optimizer: torch.optim.AdamW
) -> dict[str, object]:
    writer, waits, totals, size = Writer(), [], [], 0
    began = time.monotonic()
    snapshot = Snapshot(model)
    writer.submit(snapshot.reserve)  # as the trainer does
    writer.wait()
    reserved = time.monotonic() - began
    for number in range(saves):
        optimizer.step()  # as before every checkpoint of a run
        began = time.monotonic()
        snapshot.take(optimizer)
        path = folder / f"step_{number}"
        writer.submit(partial(_write, snapshot, path))
        waits.append(round(time.monotonic() - began, 3))
        writer.wait()
        totals.append(round(time.monotonic() - began, 2))
        size = sum(file.stat().st_size for file in path.iterdir())
        shutil.rmtree(path)
    return {
        "bytes": size,
        "saves": saves,
        "saves_over_0.2_s": sum(wait > _BOUND_S for wait in waits),
        "loop_waits_median_s": statistics.median(waits),
        "loop_waits_longest_s": max(waits),
        "loop_waits_s": waits,
        "committed_after_s": totals,
        "memory_reserved_behind_the_loop_s": round(reserved, 2),
    }


@contextmanager
def _counting(processes: int) -> Iterator[None]:
    started = [multiprocessing.Process(target=_count, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.kill()


def _count() -> None:
    for _ in count():
        pass


def _write(snapshot: Snapshot, folder: Path) -> None:
    files = {**snapshot.adapter_file(), **snapshot.state_files(Progress())}
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
