"""The learning rate is a pure function of the step; AdamW sees the adapter alone."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    TrainingArguments,
    get_constant_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
)

from medlora.config import TrainingConfig
from medlora.train.optim import build_optimizer, learning_rate, warmup_steps

PEAK, WARMUP, TOTAL = 3e-4, 7, 40
# Our type and floor -> the schedule of theirs that it claims to be.
THEIRS: dict[tuple[str, float], Callable[[Optimizer, int, int], LambdaLR]] = {
    ("cosine", 0.1): partial(get_cosine_with_min_lr_schedule_with_warmup, min_lr_rate=0.1),
    ("cosine", 0.0): partial(get_cosine_with_min_lr_schedule_with_warmup, min_lr_rate=0.0),
    ("linear", 0.0): get_linear_schedule_with_warmup,
    # Of power 1 theirs is a line to `lr_end`.
    ("linear", 0.1): partial(
        get_polynomial_decay_schedule_with_warmup, lr_end=0.1 * PEAK, power=1.0
    ),
    ("constant", 0.1): lambda optimizer, warmup, _total: get_constant_schedule_with_warmup(
        optimizer, warmup
    ),
}


@pytest.mark.parametrize("warmup", [0, WARMUP, TOTAL - 1])
@pytest.mark.parametrize(("kind", "floor"), THEIRS)
def test_the_schedules_are_hugging_faces(kind: str, floor: float, warmup: int) -> None:
    """Every step's rate equals that of the schedule people compare with, to the end."""
    cfg = TrainingConfig(
        learning_rate=PEAK, lr_scheduler_type=kind, warmup_steps=warmup, min_lr_rate=floor
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=PEAK)
    theirs = THEIRS[kind, floor](optimizer, warmup, TOTAL)
    for step in range(TOTAL + 1):
        ours = learning_rate(step, total_steps=TOTAL, cfg=cfg)
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=1e-18), step
        optimizer.step()
        theirs.step()


def test_it_peaks_after_warm_up_and_ends_at_a_tenth() -> None:
    """The recommended shape, in figures."""
    cfg = TrainingConfig()
    assert learning_rate(0, total_steps=500, cfg=cfg) == 0
    assert learning_rate(100, total_steps=500, cfg=cfg) == pytest.approx(1e-4)
    assert learning_rate(500, total_steps=500, cfg=cfg) == pytest.approx(1e-5)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_the_floor_holds_beyond_the_end(kind: str) -> None:
    """A step past the plan neither rises again nor goes below."""
    cfg = TrainingConfig(lr_scheduler_type=kind, warmup_steps=0)
    assert learning_rate(90, total_steps=50, cfg=cfg) == pytest.approx(1e-5)


@pytest.mark.parametrize("total", [1, 3, 10, 33, 100, 1001])
@pytest.mark.parametrize("ratio", [0.0, 0.03, 0.1, 0.5])
def test_a_ratio_is_rounded_as_hugging_face_does(ratio: float, total: int, tmp_path) -> None:
    """Their one argument means a share below 1: the same steps, at least one for any share."""
    ours = warmup_steps(TrainingConfig(warmup_ratio=ratio), total_steps=total)
    theirs = TrainingArguments(output_dir=str(tmp_path), warmup_steps=ratio, use_cpu=True)
    assert ours == theirs.get_warmup_steps(total)


def test_a_ratio_warms_up_like_its_steps() -> None:
    """A tenth of 33 steps is 4."""
    share, steps = TrainingConfig(warmup_ratio=0.1), TrainingConfig(warmup_steps=4)
    for step in range(34):
        assert learning_rate(step, total_steps=33, cfg=share) == learning_rate(
            step, total_steps=33, cfg=steps
        )


def test_frozen_parameters_are_left_out() -> None:
    """The optimizer keeps no state for what does not train."""
    frozen, free = nn.Parameter(torch.zeros(2), requires_grad=False), nn.Parameter(torch.ones(2))
    optimizer = build_optimizer([frozen, free], TrainingConfig(weight_decay=0.5))
    assert optimizer.param_groups[0]["params"] == [free]
    assert optimizer.param_groups[0]["weight_decay"] == 0.5
