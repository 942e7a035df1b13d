"""The loop's arithmetic: split-invariant, equal to Hugging Face's, honest about NaN."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.data.batches import train_loader
from medlora.data.micro_batches import Collate, count_rows, packed, padded
from medlora.data.token_rows import Row
from medlora.errors import DataError
from medlora.model.adapter import adapter_tensors, attach
from medlora.model.base import load_base
from medlora.train.forward import Forward
from medlora.train.loop import Computation, Drive, StepResult, train_steps
from medlora.train.optim import build_optimizer
from medlora.train.step_in_pieces import pieces_of

LORA = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0)


def make_rows(count: int) -> list[Row]:
    """Rows of unequal length with unequal shares of answers."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for index in range(count):
        length = 6 + (index * 5) % 17
        ids = torch.randint(5, 400, (length,), generator=generator).int().numpy()
        rows.append(Row(ids, torch.arange(length).numpy() >= 1 + index % 5))
    return rows


def make_model(base_folder: Path, lora: LoraConfig = LORA) -> PeftModel:
    """The small Llama with a fresh adapter."""
    return attach(load_base(base_folder, ModelConfig(), half=None), lora, seed=1)


def computing(model: PeftModel, cfg: TrainingConfig) -> Computation:
    """What trains a model on a CPU."""
    accelerator = Accelerator(cpu=True)
    model, optimizer = accelerator.prepare(model, build_optimizer(model.parameters(), cfg))
    forward = Forward(model, autocast=accelerator.autocast)
    return Computation(accelerator=accelerator, optimizer=optimizer, forward=forward, cfg=cfg)


def train(
    model: PeftModel, rows: list[Row], cfg: TrainingConfig
) -> tuple[list[StepResult], dict[str, torch.Tensor]]:
    """All steps and the adapter after them."""
    computation = computing(model, cfg)
    model.train()
    loader = steps_of(rows, cfg)
    results = list(train_steps(computation, loader))
    return results, adapter_tensors(model)


def steps_of(rows: list[Row], cfg: TrainingConfig, layout: str = "plain") -> DataLoader:
    """The steps of a run."""
    size = cfg.per_device_train_batch_size
    return train_loader(
        rows,
        Collate(layout, batch_size=size, max_length=22, pad_id=0),
        step_rows=size * cfg.gradient_accumulation_steps,
        seed=cfg.seed,
    )


def config(**changes: object) -> TrainingConfig:
    """A short run without checkpointing."""
    values: dict[str, object] = {
        "num_train_epochs": 2,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "gradient_checkpointing": False,
    }
    return TrainingConfig(**(values | changes))


def test_a_step_does_not_depend_on_its_split_into_micro_batches(base_folder: Path) -> None:
    """8 x 1, 4 x 2, 2 x 4 and 1 x 8 rows give the same losses, norms and weights."""
    rows = make_rows(20)
    runs = []
    for batch, accumulation in ((8, 1), (4, 2), (2, 4), (1, 8)):
        cfg = config(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation)
        runs.append(train(make_model(base_folder), rows, cfg))
    (expected, weights), *others = runs
    assert len(expected) == 6
    for results, adapter in others:
        for ours, theirs in zip(results, expected, strict=True):
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
            assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)
            assert (ours.tokens, ours.targets) == (theirs.tokens, theirs.targets)
        for name, tensor in weights.items():
            torch.testing.assert_close(adapter[name], tensor, atol=2e-5, rtol=1e-3)


class InOrder(Trainer):
    """Hugging Face's Trainer over given micro-batches in their given order."""

    def get_train_dataloader(self) -> DataLoader:
        """Return the batches as they are."""
        return DataLoader(self.train_dataset, batch_size=None)


def test_twenty_steps_equal_hugging_faces_trainer(base_folder: Path, tmp_path: Path) -> None:
    """Same batches, same schedule: the loss of each of 20 steps agrees to 1e-5."""
    cfg = config(num_train_epochs=2, learning_rate=2e-2, warmup_steps=5, weight_decay=0.01)
    rows = make_rows(80)
    ours, _ = train(make_model(base_folder), rows, cfg)

    loader = steps_of(rows, cfg)
    batches = []
    for epoch in range(2):
        loader.batch_sampler.set_epoch(epoch)
        batches += [batch for step in loader for batch in step]
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=1,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        learning_rate=2e-2,
        warmup_steps=5,
        weight_decay=0.01,
        max_grad_norm=1.0,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        optim="adamw_torch",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=cfg.seed,
    )
    trainer = InOrder(model=make_model(base_folder), args=arguments, train_dataset=batches)
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(ours) == len(theirs) == 20
    for step, (result, loss) in enumerate(zip(ours, theirs, strict=True), start=1):
        assert result.loss == pytest.approx(loss, abs=1e-5), f"step {step}"
    assert ours[-1].loss < ours[0].loss - 0.1


def test_the_same_seed_gives_the_same_bits(base_folder: Path) -> None:
    """Dropout and order included; another seed gives another adapter."""
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.3)
    rows = make_rows(12)
    first, second, other = (
        train(make_model(base_folder, lora), rows, config(seed=seed)) for seed in (5, 5, 6)
    )
    assert first[0] == second[0]
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    assert not all(torch.equal(first[1][name], other[1][name]) for name in first[1])


def test_dropout_depends_on_the_step_and_not_on_what_happened_before(base_folder: Path) -> None:
    """Random numbers drawn elsewhere between steps change nothing."""
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.3)
    rows, cfg = make_rows(12), config()
    expected, _ = train(make_model(base_folder, lora), rows, cfg)

    model = make_model(base_folder, lora)
    computation = computing(model, cfg)
    model.train()
    loader = steps_of(rows, cfg)
    disturbed = []
    for result in train_steps(computation, loader):
        torch.rand(1000)
        disturbed.append(result)
    assert disturbed == expected


def test_max_steps_ends_a_run_early(base_folder: Path) -> None:
    """The schedule is that of the shorter run."""
    results, _ = train(make_model(base_folder), make_rows(20), config(max_steps=4))
    assert [result.step for result in results] == [1, 2, 3, 4]
    assert results[-1].epoch == pytest.approx(4 / 3)


def test_a_step_whose_loss_is_not_a_number_is_not_taken(base_folder: Path) -> None:
    """The weights stay finite and as they were; the result says so."""
    model = make_model(base_folder)
    before = {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}
    with torch.no_grad():
        model.get_base_model().lm_head.weight.fill_(float("nan"))
    results, after = train(model, make_rows(8), config())
    assert all(result.skipped and math.isnan(result.loss) for result in results)
    assert all(torch.equal(before[name], after[name]) for name in before)


def loop_of(base_folder: Path, cfg: TrainingConfig, loader: DataLoader, start: int = 0):
    """The steps of a fresh model over any loader, from a step on."""
    model = make_model(base_folder)
    computation = computing(model, cfg)
    return train_steps(computation, loader, Drive(start=start))


@pytest.mark.parametrize("kind", ["ours", "shuffled", "sequential"])
def test_a_step_sees_the_same_rows_wherever_the_loop_starts(base_folder: Path, kind: str) -> None:
    """Any DataLoader can be resumed in the middle of any epoch, random collators included."""
    rows, cfg = make_rows(20), config(gradient_accumulation_steps=2, learning_rate=1e-9)

    def make_loader() -> DataLoader:
        if kind == "ours":
            return steps_of(rows, cfg, layout="packed")

        def noisy(batch):
            collated = padded(batch, pad_id=0)
            collated["input_ids"][:, 0] = torch.randint(5, 400, (len(batch),))
            return collated

        return DataLoader(rows, batch_size=2, shuffle=kind == "shuffled", collate_fn=noisy)

    straight = [result.loss for result in loop_of(base_folder, cfg, make_loader())]
    assert len(straight) == 10
    for start in (1, 4, 5, 8):
        torch.rand(start)  # whatever happened before in this process
        late = [result.loss for result in loop_of(base_folder, cfg, make_loader(), start)]
        assert late == pytest.approx(straight[start:], abs=1e-6)


def test_what_poll_raises_leaves_the_weights_of_the_last_step(base_folder: Path) -> None:
    """A partial accumulation is dropped."""
    cfg, rows = config(), make_rows(20)
    model = make_model(base_folder)
    computation = computing(model, cfg)
    loader = steps_of(rows, cfg)
    polls = []

    def poll() -> None:
        polls.append(adapter_tensors(model))
        if len(polls) == 8:  # a step of four micro-batches polls five times
            raise KeyboardInterrupt

    steps = train_steps(computation, loader, Drive(poll=poll))
    next(steps)
    after_first = {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert all(torch.equal(t, adapter_tensors(model)[n]) for n, t in after_first.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_step_that_does_not_fit_is_taken_in_pieces(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses, norms and weights are those of a machine with enough memory."""
    rows = make_rows(20)
    cfg = config(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    expected, weights = train(make_model(base_folder), rows, cfg)
    original, sizes = Forward.nats, []

    def small_memory(self, batch):
        sizes.append(len(batch["input_ids"]))
        if len(sizes) > 3 and sizes[-1] > 1:  # the first step fits, the second does not
            raise torch.OutOfMemoryError
        return original(self, batch)

    monkeypatch.setattr(Forward, "nats", small_memory)
    results, adapter = train(make_model(base_folder), rows, cfg)
    assert sizes[:6] == [4, 4, 4, 4, 2, 1]
    for ours, theirs in zip(results, expected, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)
    for name, tensor in weights.items():
        torch.testing.assert_close(adapter[name], tensor, atol=2e-5, rtol=1e-3)


def test_a_packed_step_that_does_not_fit_is_taken_in_pieces() -> None:
    """Whole records, in their order; positions and targets as they were."""
    rows = make_rows(5)
    pieces = pieces_of([packed(rows)], 2)
    assert [count_rows(piece) for piece in pieces] == [2, 2, 1]
    for piece, part in zip(pieces, (rows[:2], rows[2:4], rows[4:]), strict=True):
        for name, tensor in packed(part).items():
            assert torch.equal(piece[name], tensor), name


def test_a_step_without_targets_is_an_error(base_folder: Path) -> None:
    """An all-prompt step stops the run instead of yielding NaN."""
    row = make_rows(1)[0]
    prompts = [Row(row.ids, np.zeros(len(row.ids), dtype=bool))] * 8
    with pytest.raises(DataError, match=r"all labels of step 1 are -100\n  fix: give"):
        train(make_model(base_folder), prompts, config())
