"""What is written behind the loop's back is what was taken, and a failure is never lost."""

from pathlib import Path
from threading import Event

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load
from torch.optim import AdamW

from medlora.checkpoint.background_writer import Writer
from medlora.checkpoint.state import OPTIMIZER, Progress, Snapshot
from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.errors import StorageError
from medlora.model.adapter import adapter_bytes, attach
from medlora.model.base import load_base
from medlora.model.file_names import WEIGHTS
from medlora.train.optim import build_optimizer


def test_a_failure_reaches_the_loop_once() -> None:
    """At the next look, with or without waiting; after that the writer works on."""
    writer = Writer()

    def fail() -> None:
        raise StorageError("full", fix="free space")

    for look in (writer.wait, lambda: writer.submit(lambda: None)):
        writer.submit(fail)
        with pytest.raises(StorageError, match="full"):
            look()
        writer.wait()


def test_the_next_job_waits_for_the_one_before() -> None:
    """Two jobs never run at once, and neither is dropped."""
    writer, go, done = Writer(), Event(), []
    writer.submit(lambda: (go.wait(), done.append(1)))
    writer.check()
    assert done == []
    go.set()
    writer.submit(lambda: done.append(2))
    writer.wait()
    assert done == [1, 2]


def trained(base_folder: Path, half: torch.dtype | None = None, **lora) -> tuple[PeftModel, AdamW]:
    """The small Llama with an adapter, and its optimizer after a step."""
    model = attach(
        load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=2, **lora), seed=1
    )
    optimizer = build_optimizer(model.to(half).parameters(), TrainingConfig())
    step(model, optimizer)
    return model, optimizer


def step(model: PeftModel, optimizer: AdamW) -> None:
    """Change every number that trains."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def test_training_on_does_not_change_what_was_taken(base_folder: Path) -> None:
    """The copy shares no memory with the model or the optimizer; its own is used again."""
    model, optimizer = trained(base_folder)
    snapshot = Snapshot(model)
    snapshot.reserve()
    memory = snapshot._memory
    snapshot.take(optimizer)
    before = snapshot.adapter_file()[WEIGHTS], snapshot.state_files(Progress())[OPTIMIZER]
    step(model, optimizer)
    after = snapshot.adapter_file()[WEIGHTS], snapshot.state_files(Progress())[OPTIMIZER]
    assert before == after
    snapshot.take(optimizer)
    assert snapshot.adapter_file()[WEIGHTS] != before[0]
    assert snapshot._memory is memory
    assert all(torch.isfinite(t).all() for t in load(before[1]).values())


@pytest.mark.parametrize("half", [None, torch.bfloat16])
@pytest.mark.parametrize("reserved", [True, False])
def test_every_number_is_taken(base_folder: Path, half: torch.dtype | None, reserved: bool) -> None:
    """Of any type, an adapter on the head too, whose base is not saved with it."""
    model, optimizer = trained(base_folder, half, target_modules=["q_proj", "lm_head"])
    snapshot = Snapshot(model)
    if reserved:
        snapshot.reserve()
    snapshot.take(optimizer)
    assert snapshot.adapter_file() == {WEIGHTS: adapter_bytes(model)}
    saved = load(snapshot.state_files(Progress())[OPTIMIZER])
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    kept = {f"{slot}/{name}": t for name, p in named for slot, t in optimizer.state[p].items()}
    assert saved.keys() == kept.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in kept.items())
    assert {tensor.dtype for tensor in load(adapter_bytes(model)).values()} == {
        half or torch.float32
    }
