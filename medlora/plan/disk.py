"""Room for a run's checkpoints and its result."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypedDict, TypeVar

from torch import nn

from medlora.config import RunConfig
from medlora.errors import MedloraError, StorageError
from medlora.plan.quick_checks import nearest

T = TypeVar("T")
_GIB = 1 << 30
_TIGHT = 0.8  # of what is free
_MOMENTS = 3  # adapter and AdamW's two moments
_FEW_MIB = 64 << 20  # tokenizer, cards, metrics: beside the tensors of a folder


class Disk(TypedDict):
    """The room that a run's checkpoints and its result take, and what is free."""

    checkpoint_bytes: int
    checkpoints_kept: int
    needed_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """Facts as JSON values; what is wrong, and what may go wrong."""

    facts: T
    errors: list[MedloraError]
    warnings: list[str]


def look_at_disk(cfg: RunConfig, *, adapter_bytes: int) -> Place[Disk]:
    """Return what a run's checkpoints will take, against what is free.

    It is an error where one checkpoint and the result do not fit, and a warning where all that
    may be kept at once would not.
    """
    training = cfg.training
    resumable = _MOMENTS * adapter_bytes + _FEW_MIB
    epochs = math.ceil(training.num_train_epochs / training.save_epochs)
    kept = training.save_total_limit + 1 + epochs  # one is written before the oldest goes
    needed = kept * resumable + 2 * (adapter_bytes + _FEW_MIB)  # best_model and final
    usage = shutil.disk_usage(nearest(Path(training.output_dir)))
    facts: Disk = {
        "checkpoint_bytes": resumable,
        "checkpoints_kept": kept,
        "needed_bytes": needed,
        "free_bytes": usage.free,
    }
    least = resumable + adapter_bytes
    errors, warnings = list[MedloraError](), []
    message = (
        f"{training.output_dir} has {usage.free / _GIB:.1f} GiB free, and the run needs up to "
        f"{needed / _GIB:.1f} GiB: {kept} checkpoints of {resumable / _GIB:.2f} GiB each and the "
        "result"
    )
    if least > usage.free:
        fix = "make room, mount a larger disk, lower training.save_total_limit or lora.r"
        errors.append(StorageError(message, fix=fix))
    elif needed > _TIGHT * usage.free:
        warnings.append(message)
    return Place(facts, errors, warnings)


def refuse_full(cfg: RunConfig, model: nn.Module) -> None:
    """Refuse a disk that one checkpoint and the result do not fit on.

    Raises:
        StorageError: says how much is free.
    """
    trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
    size = sum(parameter.numel() * parameter.element_size() for parameter in trained)
    for error in look_at_disk(cfg, adapter_bytes=size).errors:
        raise error
