"""The learning rate is a pure function of the step; AdamW sees the adapter alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.optimizers import create_loraplus_optimizer
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

from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.train.optim import (
    build_optimizer,
    learning_rate,
    loraplus,
    set_learning_rate,
    warmup_steps,
)

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
def test_a_ratio_is_rounded_as_hugging_face_does(ratio: float, total: int, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("total", "steps"), [(1, 0), (24, 2), (100, 10), (101, 100), (5000, 100)])
def test_a_short_run_reaches_its_peak(total: int, steps: int) -> None:
    """A hundred steps, or a tenth of a run that is over before them."""
    cfg = TrainingConfig()
    assert warmup_steps(cfg, total_steps=total) == steps
    rates = [learning_rate(step, total_steps=total, cfg=cfg) for step in range(total)]
    assert max(rates) == rates[steps] == pytest.approx(1e-4)


def test_frozen_parameters_are_left_out() -> None:
    """The optimizer keeps no state for what does not train."""
    frozen, free = nn.Parameter(torch.zeros(2), requires_grad=False), nn.Parameter(torch.ones(2))
    optimizer = build_optimizer([frozen, free], TrainingConfig(weight_decay=0.5))
    assert optimizer.param_groups[0]["params"] == [free]
    assert optimizer.param_groups[0]["weight_decay"] == 0.5


@pytest.fixture(params=[False, True], ids=["lora", "dora"])
def adapted(request, base_folder: Path) -> PeftModel:
    """The small Llama with an adapter, plain and with magnitudes."""
    cfg = LoraConfig(r=2, use_dora=request.param)
    return attach(load_base(base_folder, ModelConfig(), half=None), cfg, seed=1)


def rates_by_name(model: PeftModel, optimizer: Optimizer) -> dict[str, float]:
    """The learning rate of each parameter."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_loraplus_gives_pefts_rates(adapted: PeftModel) -> None:
    """The same parameters learn faster, by as much, as in the optimizer that PEFT makes."""
    cfg = TrainingConfig(learning_rate=1e-4)
    ours = build_optimizer(adapted.parameters(), cfg, multipliers=loraplus(adapted, 16))
    theirs = create_loraplus_optimizer(adapted, torch.optim.AdamW, lr=1e-4, loraplus_lr_ratio=16)
    rates = rates_by_name(adapted, ours)
    assert rates == pytest.approx(rates_by_name(adapted, theirs))
    assert rates.keys() == {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert {round(rate / 1e-4) for name, rate in rates.items() if "lora_A" in name} == {1}
    assert {round(rate / 1e-4) for name, rate in rates.items() if "lora_B" in name} == {16}


def test_the_schedule_keeps_the_ratio(adapted: PeftModel) -> None:
    """Whatever the step's rate, B learns at the multiple, also after a saved state is loaded."""
    cfg, faster = TrainingConfig(), loraplus(adapted, 4)
    saved = build_optimizer(adapted.parameters(), cfg, multipliers=faster).state_dict()
    optimizer = build_optimizer(adapted.parameters(), cfg, multipliers=faster)
    optimizer.load_state_dict(saved)
    for rate in (0.0, 3e-4):
        set_learning_rate(optimizer, rate)
        assert [group["lr"] for group in optimizer.param_groups] == [rate, 4 * rate]
    assert {group["weight_decay"] for group in optimizer.param_groups} == {cfg.weight_decay}


def test_a_step_moves_b_by_the_ratio(adapted: PeftModel) -> None:
    """AdamW's first step is the rate's size: the multiplier reaches the weights."""
    optimizer = build_optimizer(
        adapted.parameters(), TrainingConfig(weight_decay=0), multipliers=loraplus(adapted, 8)
    )
    set_learning_rate(optimizer, 1e-3)
    before = {name: p.detach().clone() for name, p in adapted.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {
        name: float((p.detach() - before[name]).abs().max())
        for name, p in adapted.named_parameters()
    }
    for name, distance in moved.items():
        rate = {"lora_A": 1e-3, "lora_B": 8e-3, "magnitude": 8e-3}
        expected = next((value for part, value in rate.items() if part in name), 0.0)
        assert distance == pytest.approx(expected, rel=1e-3), name


def test_without_loraplus_there_is_one_group(adapted: PeftModel) -> None:
    """The optimizer is then what it always was."""
    optimizer = build_optimizer(
        adapted.parameters(), TrainingConfig(), multipliers=loraplus(adapted, None)
    )
    assert len(optimizer.param_groups) == 1
    assert optimizer.param_groups[0]["params"] == [
        p for p in adapted.parameters() if p.requires_grad
    ]


def test_an_embeddings_b_learns_faster_too() -> None:
    """PEFT has a fixed rate of its own there, which would ignore the schedule."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lora_embedding_A = nn.ParameterDict({"default": torch.zeros(2, 5)})
            self.lora_embedding_B = nn.ParameterDict({"default": torch.zeros(4, 2)})

    tokens = Tokens()
    assert loraplus(tokens, 3.0) == {tokens.lora_embedding_B["default"]: 3.0}
