"""What is written behind the loop's back is what was taken, and a failure is never lost."""

from pathlib import Path
from threading import Event

import pytest
import torch
from safetensors.torch import load

from medlora.checkpoint.state import OPTIMIZER, Progress, Snapshot
from medlora.checkpoint.writer import Writer
from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.errors import StorageError
from medlora.model.adapter import WEIGHTS, attach
from medlora.model.base import load_base
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


def test_training_on_does_not_change_what_was_taken(base_folder: Path) -> None:
    """The copy shares no memory with the model or the optimizer; buffers are used again."""
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=2), seed=1)
    optimizer = build_optimizer(model.parameters(), TrainingConfig())

    def step() -> None:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.ones_like(parameter)
        optimizer.step()

    step()
    snapshot = Snapshot()
    snapshot.take(model, optimizer)
    before = snapshot.adapter_file(model)[WEIGHTS], snapshot.state_files(Progress())[OPTIMIZER]
    step()
    after = snapshot.adapter_file(model)[WEIGHTS], snapshot.state_files(Progress())[OPTIMIZER]
    assert before == after
    places = {name: tensor.data_ptr() for name, tensor in snapshot._adapter.items()}
    snapshot.take(model, optimizer)
    assert snapshot.adapter_file(model)[WEIGHTS] != before[0]
    assert {name: tensor.data_ptr() for name, tensor in snapshot._adapter.items()} == places
    assert all(torch.isfinite(t).all() for t in load(before[1]).values())
