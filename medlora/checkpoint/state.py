"""A training state as bytes and back, exactly: adapter, optimizer, counters.

Random states are not in it: order, dropout and initial weights are pure functions of the seed
and the step (see `train.loop`), so there is nothing to save.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import peft
import torch
from peft import PeftModel
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import AdamW

from medlora.checkpoint.names import PROGRESS
from medlora.files import json_bytes
from medlora.model.adapter import adapter_bytes, adapter_parameters
from medlora.model.file_names import WEIGHTS
from medlora.train.privacy_budget import LedgerState
from medlora.train.stopping import EarlyStoppingState

OPTIMIZER = "optimizer.safetensors"

_STEP_BYTES = 8  # at most, of AdamW's count of steps for each parameter


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
    early_stopping: EarlyStoppingState | None = None
    recent_losses: list[float] = field(default_factory=list)  # of the last two windows
    converged_step: int | None = None
    ended: str | None = None  # why no further step is wanted
    pending: dict[str, float | None] | None = None
    scaler: dict[str, float] | None = None
    privacy: LedgerState | None = None  # the accountant's state, of a private run


class Snapshot:
    """A copy of an adapter and its optimizer, in one piece of memory that is used for each.

    One thread copies: several, as torch's own copy takes, wait for each other at every tensor,
    which on busy cores takes longer than the copying (`python -m benchmarks.checkpoint --busy 2`).
    """

    def __init__(self, model: PeftModel) -> None:
        self._model = model
        self._adapter: dict[str, Tensor] = {}
        self._optimizer: dict[str, Tensor] = {}
        self._memory = torch.empty(0, dtype=torch.uint8)
        sizes = [tensor.nbytes for tensor in adapter_parameters(model).values()]
        self._expected = sum(3 * _aligned(size) + _aligned(_STEP_BYTES) for size in sizes)

    def reserve(self) -> None:
        """Get the memory ahead of the first copy: the system hands it out page by page.

        Raises:
            RuntimeError: there is not as much.
        """
        self._provide(self._expected)

    def take(self, optimizer: AdamW) -> None:
        """Copy the present state; what was taken before is gone."""
        adapter, slots = adapter_parameters(self._model), _optimizer_tensors(self._model, optimizer)
        tensors = [*adapter.values(), *slots.values()]
        self._provide(sum(_aligned(tensor.nbytes) for tensor in tensors))
        self._adapter, taken = _copied(adapter, self._memory)
        self._optimizer, _ = _copied(slots, self._memory[taken:])

    def adapter_file(self) -> dict[str, bytes]:
        """Return the file of the adapter as it was taken."""
        return {WEIGHTS: adapter_bytes(self._model, self._adapter)}

    def state_files(self, progress: Progress) -> dict[str, bytes]:
        """Return the files of the optimizer as it was taken, and of the progress."""
        return {
            OPTIMIZER: save(self._optimizer),
            PROGRESS: json_bytes({name: getattr(progress, name) for name in Progress.__slots__}),
        }

    def _provide(self, size: int) -> None:
        if self._memory.numel() < size:
            self._adapter, self._optimizer = {}, {}  # or the old memory would stay beside the new
            self._memory = torch.empty(size, dtype=torch.uint8)
            self._memory.numpy().fill(0)


def _copied(tensors: Mapping[str, Tensor], memory: Tensor) -> tuple[dict[str, Tensor], int]:
    """Copy tensors into memory; return them as they lie there, and how many bytes they take."""
    copies, start = dict[str, Tensor](), 0
    for name, tensor in tensors.items():
        place = memory[start : start + tensor.nbytes]
        copies[name] = place.view(tensor.dtype).view(tensor.shape)
        if tensor.device.type == "cpu":
            content = tensor.detach().reshape(-1).view(torch.uint8)
            np.copyto(place.numpy(), content.numpy())
        else:
            copies[name].copy_(tensor.detach())
        start += _aligned(tensor.nbytes)
    return copies, start


def _aligned(size: int) -> int:
    """Return the bytes from a tensor's begin to the next one's: whole lines of the cache."""
    return -(-size // 64) * 64


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
    missing = adapter_parameters(model).keys() - adapter.keys()
    if missing:
        raise KeyError(min(missing))
    peft.set_peft_model_state_dict(model, adapter)
    _restore_optimizer(model, optimizer, load(files[OPTIMIZER]))
    values = json.loads(files[PROGRESS])
    best = values.pop("best")
    return Progress(**values, best=tuple(best) if best else None)


def _optimizer_tensors(model: PeftModel, optimizer: AdamW) -> dict[str, Tensor]:
    """Return {slot/parameter name: tensor} of all optimizer state, where it is."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        for slot, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{slot}/{name}"] = value
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
