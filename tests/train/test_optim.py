"""The learning rate is a pure function of the step; AdamW sees the adapter alone."""

import pytest
import torch
from torch import nn
from transformers import get_cosine_with_min_lr_schedule_with_warmup

from medlora.config import TrainingConfig
from medlora.train.optim import build_optimizer, learning_rate


def test_the_schedule_is_hugging_faces_cosine_with_a_floor() -> None:
    """Every step's rate equals that of the schedule people compare with."""
    cfg = TrainingConfig(learning_rate=3e-4, warmup_steps=7, min_lr_rate=0.1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-4)
    theirs = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, num_warmup_steps=7, num_training_steps=40, min_lr_rate=0.1
    )
    for step in range(40):
        ours = learning_rate(step, total_steps=40, cfg=cfg)
        assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_it_peaks_after_warm_up_and_ends_at_a_tenth() -> None:
    """The recommended shape, in figures."""
    cfg = TrainingConfig()
    assert learning_rate(0, total_steps=500, cfg=cfg) == 0
    assert learning_rate(100, total_steps=500, cfg=cfg) == pytest.approx(1e-4)
    assert learning_rate(500, total_steps=500, cfg=cfg) == pytest.approx(1e-5)


def test_frozen_parameters_are_left_out() -> None:
    """The optimizer keeps no state for what does not train."""
    frozen, free = nn.Parameter(torch.zeros(2), requires_grad=False), nn.Parameter(torch.ones(2))
    optimizer = build_optimizer([frozen, free], TrainingConfig(weight_decay=0.5))
    assert optimizer.param_groups[0]["params"] == [free]
    assert optimizer.param_groups[0]["weight_decay"] == 0.5
