"""A training state as bytes and back, exactly: adapter, optimizer, counters.

Random states are not in it: order, dropout and initial weights are pure functions of the seed
and the step (see `train.loop`), so there is nothing to save.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import peft
from peft import PeftModel
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import AdamW

from medlora.files import json_bytes
from medlora.model.adapter import WEIGHTS, adapter_bytes, adapter_tensors

OPTIMIZER, PROGRESS = "optimizer.safetensors", "progress.json"


@dataclass(slots=True)
class Progress:
    """Where a run stands; JSON values only.

    `pending` is the result of a step whose evaluation or logging was not done when the run was
    stopped: it is done first when the run goes on.
    """

    step: int = 0
    best: tuple[int, float] | None = None
    latest: float | None = None
    base: float | None = None
    epoch_nats: float = 0.0  # loss x targets, summed over the steps of this epoch
    epoch_targets: int = 0
    tokens: int = 0  # seen so far, padding not counted
    targets: int = 0  # of these, with loss
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    micro_batch_rows: int | None = None  # at most, since memory ran out
    wall_s: float = 0.0  # spent in training, all attempts together
    early_stopping: dict[str, Any] | None = None
    recent_losses: list[float] = field(default_factory=list)  # of the last two windows
    converged_step: int | None = None
    ended: str | None = None  # why no further step is wanted
    pending: dict[str, Any] | None = None
    scaler: dict[str, float] | None = None


def state_files(model: PeftModel, optimizer: AdamW, progress: Progress) -> dict[str, bytes]:
    """Return the files that hold a state: adapter, optimizer and progress."""
    return {
        WEIGHTS: adapter_bytes(model),
        OPTIMIZER: save(_optimizer_tensors(model, optimizer)),
        PROGRESS: json_bytes({name: getattr(progress, name) for name in Progress.__slots__}),
    }


def restore_state(model: PeftModel, optimizer: AdamW, files: Mapping[str, bytes]) -> Progress:
    """Put a saved state into a model and its optimizer; return the progress.

    Args:
        model: with an adapter of the same shape.
        optimizer: over the model's trainable parameters.
        files: {file name: content}, already verified.

    Raises:
        KeyError: a tensor that the model has is not in the state.
    """
    adapter = load(files[WEIGHTS])
    missing = adapter_tensors(model).keys() - adapter.keys()
    if missing:
        raise KeyError(min(missing))
    peft.set_peft_model_state_dict(model, adapter)
    _restore_optimizer(model, optimizer, load(files[OPTIMIZER]))
    values = json.loads(files[PROGRESS])
    best = values.pop("best")
    return Progress(**values, best=tuple(best) if best else None)


def _optimizer_tensors(model: PeftModel, optimizer: AdamW) -> dict[str, Tensor]:
    """Return {slot/parameter name: tensor} of all optimizer state, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        for slot, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{slot}/{name}"] = value.detach().cpu().contiguous()
    return tensors


def _restore_optimizer(model: PeftModel, optimizer: AdamW, tensors: Mapping[str, Tensor]) -> None:
    names = {parameter: name for name, parameter in model.named_parameters()}
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    state = {
        index: {
            slot: tensors[f"{slot}/{names[parameter]}"].clone()
            for slot in ("step", "exp_avg", "exp_avg_sq")
        }
        for index, parameter in enumerate(ordered)
        if f"step/{names[parameter]}" in tensors
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
