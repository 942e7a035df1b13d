"""Each row's gradient is its own, is clipped, and is hidden in noise that nobody can repeat."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel

from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.data.micro_batches import Collate, padded
from medlora.data.poisson import private_loader
from medlora.data.token_rows import Row
from medlora.errors import ConfigError
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.model.linear import lean_linears
from medlora.model.onednn_linear import frozen_linears
from medlora.train import dp_loop
from medlora.train.dp_loop import clipped_sum, private_steps
from medlora.train.forward import Forward
from medlora.train.loop import Computation, Drive
from medlora.train.optim import build_optimizer
from medlora.train.privacy_budget import Budget
from medlora.train.rowgrads import RowGradients, check_rows_apart
from medlora.train.step_in_pieces import RowLimit
from tests.tiny import enliven

LENGTHS = (12, 5, 9, 7)


def row(number: int, length: int) -> Row:
    """A row of tokens whose first three are its prompt."""
    ids = (np.arange(length, dtype=np.int32) * 37 + number * 11) % 400
    return Row(ids, np.arange(length) >= 3)


ROWS = [row(number, length) for number, length in enumerate(LENGTHS)]


def make(folder: Path, *, trained: bool = True, load: ModelConfig | None = None) -> PeftModel:
    """The small model with an adapter on all layers, whose B is not zero any more."""
    cfg = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear")
    model = attach(load_base(folder, load or ModelConfig(), half=None), cfg, seed=1)
    if trained:
        enliven(model, size=0.1)
    frozen_linears(model)
    return model.train()


def alone(forward: Forward, parameters: list, one: Row) -> list[torch.Tensor]:
    """The gradient of a row's mean loss, by autograd, with nobody beside it."""
    nats = forward.nats(padded([one], pad_id=0)) / one.targets
    return list(torch.autograd.grad(nats, parameters))


def clipped(gradients: list[torch.Tensor], max_norm: float) -> list[torch.Tensor]:
    """The textbook's clipping."""
    norm = torch.cat([one.flatten() for one in gradients]).norm()
    return [one * min(1.0, max_norm / float(norm)) for one in gradients]


def near(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float) -> bool:
    """Whether two gradients agree, as a share of the largest number."""
    pairs = list(zip(found, expected, strict=True))
    largest = max(float(b.abs().max()) for _, b in pairs)
    return max(float((a - b).abs().max()) for a, b in pairs) <= tolerance * largest


@pytest.mark.parametrize("max_norm", [0.05, 1e6])
def test_the_sum_is_that_of_rows_computed_one_at_a_time(base_folder: Path, max_norm: float) -> None:
    """To 1e-5: padded to different lengths, clipped hard or not at all."""
    model = make(base_folder)
    forward, gradients = Forward(model), RowGradients(model)
    found, nats = clipped_sum(gradients, forward, padded(ROWS, pad_id=0), max_norm=max_norm)
    singles = [clipped(alone(forward, gradients.parameters, one), max_norm) for one in ROWS]
    expected = [torch.stack(parts).sum(0) for parts in zip(*singles, strict=True)]
    assert near([found[p] for p in gradients.parameters], expected, 1e-5)
    assert nats == pytest.approx(float(forward.nats(padded(ROWS, pad_id=0)).detach()))
    assert all(parameter.grad is None for parameter in gradients.parameters)


def test_shortening_another_row_leaves_a_rows_part_as_it_was(base_folder: Path) -> None:
    """The trap of a batch's mean: there, this factor was 1.34."""
    model = make(base_folder)
    forward, gradients = Forward(model), RowGradients(model)

    def part_of_first(other: Row) -> list[torch.Tensor]:
        sums = [
            clipped_sum(gradients, forward, padded(rows, pad_id=0), max_norm=0.05)[0]
            for rows in ([ROWS[0], other], [other])
        ]
        return [sums[0][p] - sums[1][p] for p in gradients.parameters]

    long, short = part_of_first(row(7, 11)), part_of_first(row(7, 5))
    assert near(long, short, 1e-5)


def test_no_row_adds_more_than_the_clip(base_folder: Path) -> None:
    """Each row's norm is bounded, and one whose gradient is not finite adds nothing."""
    model = make(base_folder)
    forward, gradients = Forward(model), RowGradients(model)
    for one in ROWS:
        found, _ = clipped_sum(gradients, forward, padded([one], pad_id=0), max_norm=0.01)
        norm = torch.cat([value.flatten() for value in found.values()]).norm()
        assert 0 < norm <= 0.01 * (1 + 1e-5)
    model.get_input_embeddings().weight.data[ROWS[1].ids[-1]] = float("nan")
    with_nan, nats = clipped_sum(gradients, forward, padded(ROWS[:2], pad_id=0), max_norm=0.01)
    without, _ = clipped_sum(gradients, forward, padded(ROWS[:1], pad_id=0), max_norm=0.01)
    assert near(list(with_nan.values()), list(without.values()), 1e-5)
    assert not np.isfinite(nats)


def test_the_rows_gradients_are_opacus_own(base_folder: Path) -> None:
    """The same numbers as its hooks give, to 1e-5."""
    hooks = pytest.importorskip("opacus.grad_sample.grad_sample_module")
    model = make(base_folder)
    forward, batch = Forward(model), padded(ROWS, pad_id=0)
    gradients = RowGradients(model)
    ours = gradients.take(forward.nats(batch).backward, rows=len(ROWS))
    gradients.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about inputs without gradients
        watcher = hooks.GradSampleHooks(model, loss_reduction="sum")
        forward.nats(batch).backward()
    theirs = [parameter.grad_sample for parameter in gradients.parameters]
    watcher.cleanup()
    assert near([ours[p] for p in gradients.parameters], theirs, 1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None,
    reason="bitsandbytes is not installed (uv sync --extra qlora)",
)
def test_rows_stay_apart_on_a_4_bit_base(base_folder: Path) -> None:
    """QLoRA's factors are watched like any others."""
    model = make(base_folder, load=ModelConfig(load_in_4bit=True))
    check_rows_apart(model, Forward(model), RowGradients(model))


def test_the_check_leaves_the_model_as_it_was(base_folder: Path) -> None:
    """A fresh adapter's B is zero, and stays so."""
    model = make(base_folder, trained=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_rows_apart(model, Forward(model), RowGradients(model))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def test_layers_where_rows_meet_are_refused(base_folder: Path) -> None:
    """A base that centres its hidden numbers over the batch is found out by the probe."""
    model = make(base_folder)
    model.get_base_model().model.layers[0].register_forward_hook(
        lambda _module, _inputs, output: output - output.mean(0, keepdim=True)
    )
    with pytest.raises(ConfigError, match="depends on the other rows of the batch"):
        check_rows_apart(model, Forward(model), RowGradients(model))


def test_factors_that_no_hook_sees_are_refused(base_folder: Path) -> None:
    """Lean layers compute past their factors; a trained norm is no linear layer."""
    model = make(base_folder)
    lean_linears(model)
    with pytest.raises(ConfigError, match="no gradient for each single row"):
        check_rows_apart(model, Forward(model), RowGradients(model))
    model.get_base_model().model.norm.weight.requires_grad_(True)
    with pytest.raises(ConfigError, match=r"model\.norm\.weight, which is trainable"):
        RowGradients(model)


def run(folder: Path, budget: Budget, *, step_rows: int, max_steps: int = 2):
    """Train a fresh model for some private steps; its results and what changed."""
    model = make(folder)
    accelerator = Accelerator(cpu=True)
    cfg = TrainingConfig(
        num_train_epochs=9, max_steps=max_steps, warmup_steps=0, learning_rate=1e-3
    )
    optimizer = build_optimizer(model.parameters(), cfg)
    optimizer = accelerator.prepare(optimizer)
    loader = private_loader(
        ROWS,
        Collate("grouped", batch_size=2, max_length=12, pad_id=0),
        step_rows=step_rows,
        entropy=dp_loop.system_entropy(),
    )
    computation = Computation(
        accelerator=accelerator, optimizer=optimizer, forward=Forward(model), cfg=cfg
    )
    mechanism = dp_loop.Mechanism(budget, RowGradients(model), dp_loop.system_entropy())
    results = list(private_steps(computation, loader, mechanism, Drive()))
    weights = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
    return results, weights


def test_noise_has_the_planned_deviation_and_reaches_every_parameter(base_folder: Path) -> None:
    """With no row drawn, the gradient is noise alone: sigma C / rows, times sqrt(parameters)."""
    budget = Budget(3.0, 0.5, 0.2, 2.0, 1e-5)
    model = make(base_folder)
    gradients = RowGradients(model)
    optimizer = torch.optim.SGD(gradients.parameters, lr=1.0)
    before = torch.cat([p.detach().flatten().clone() for p in gradients.parameters])
    norm = dp_loop._take_noisy_step(
        optimizer, {}, dp_loop.Mechanism(budget, gradients, dp_loop.system_entropy())
    )
    moved = before - torch.cat([p.detach().flatten() for p in gradients.parameters])
    assert float(moved.std()) == pytest.approx(3.0 * 0.2 / 2.0, rel=0.05)
    assert (moved != 0).float().mean() > 0.999
    assert norm == pytest.approx(float(moved.norm()), rel=1e-3)


def test_the_same_seed_gives_another_adapter(base_folder: Path) -> None:
    """Draws and noise are not functions of `training.seed`."""
    runs = [run(base_folder, Budget(1.0, 0.5, 0.5, 2.0, 1e-5), step_rows=2)[1] for _ in range(2)]
    assert not torch.equal(*runs)


def test_steps_are_counted_and_empty_ones_are_steps(base_folder: Path) -> None:
    """One row of four on average: among 30 steps some have none, and all move the weights."""
    results, _ = run(base_folder, Budget(0.5, 0.25, 0.5, 1.0, 1e-5), step_rows=1, max_steps=30)
    assert [result.step for result in results] == list(range(1, 31))
    empty = [result for result in results if result.targets == 0]
    assert 0 < len(empty) < 30
    assert all(result.loss == 0 and result.grad_norm > 0 for result in empty)
    assert [results[3].epoch, results[-1].epoch] == [1.0, 7.5]


def test_memory_that_runs_out_changes_neither_sum_nor_step(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same drawn rows in smaller pieces, with what was summed before thrown away."""
    original, calls = dp_loop.clipped_sum, []

    def short_of_memory(gradients, forward, batch, *, max_norm):
        calls.append(len(batch["input_ids"]))
        if calls[-1] > 1:
            raise torch.OutOfMemoryError
        return original(gradients, forward, batch, max_norm=max_norm)

    model = make(base_folder)
    forward, gradients = Forward(model), RowGradients(model)
    budget, parts = (
        Budget(0.0, 1.0, 0.05, 4.0, 1e-5),
        [padded(ROWS[i : i + 2], pad_id=0) for i in (0, 2)],
    )
    whole, _ = original(gradients, forward, padded(ROWS, pad_id=0), max_norm=0.05)
    monkeypatch.setattr(dp_loop, "clipped_sum", short_of_memory)
    limit = RowLimit()
    accelerator, cfg = Accelerator(cpu=True), TrainingConfig()
    optimizer = build_optimizer(model.parameters(), cfg)
    sums, _ = dp_loop._sum_that_fits(
        Computation(accelerator=accelerator, optimizer=optimizer, forward=forward, cfg=cfg),
        dp_loop.Mechanism(budget, gradients, dp_loop.system_entropy()),
        parts,
        Drive(limit=limit),
    )
    assert (limit.rows, calls) == (1, [2, 1, 1, 1, 1])
    assert near(list(sums.values()), [whole[p] for p in sums], 1e-5)
