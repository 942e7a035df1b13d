"""The look at safety: once an epoch, counted, silent about texts, without a trace in training."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

import medlora
from medlora.config import LoraConfig, ModelConfig
from medlora.evaluate.huggingface_safety_callback import PROMPTS
from medlora.model.adapter import attach
from medlora.model.base import load_base


class LengthChecker:
    """Calls an answer compliant by a rule of its own, and remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check_safety_compliance(self, response: str) -> dict[str, object]:
        """The first answer of each look passes."""
        self.seen.append(response)
        return {"compliant": len(self.seen) % 3 == 1, "score": 0.5}


@pytest.fixture
def model(base_folder: Path):
    """The small Llama with an adapter."""
    base = load_base(base_folder, ModelConfig(), half=None)
    return attach(base, LoraConfig(r=4, lora_dropout=0.5), seed=1).train()


def evaluate(callback, model, tokenizer, epochs: list[float], *, resumed_at: float = 0.0) -> None:
    """Send the events of a run that evaluates at the given epochs."""
    arguments = TrainingArguments(output_dir="out", use_cpu=True, report_to=[])
    state, control = TrainerState(epoch=resumed_at), TrainerControl()
    callback.on_train_begin(arguments, state, control, model=model, processing_class=tokenizer)
    for step, epoch in enumerate(epochs, start=1):
        state.epoch, state.global_step = epoch, step
        callback.on_evaluate(
            arguments,
            state,
            control,
            model=model,
            processing_class=tokenizer,
            optimizer=None,
            metrics={"eval_loss": 1.0},
        )


@pytest.mark.parametrize(
    ("epochs", "resumed_at", "looks"),
    [
        ([0.5, 1.0, 1.5, 2.0], 0.0, [(1, 2), (2, 4)]),  # evaluations that end an epoch
        ([0.7, 1.4, 2.1, 2.8], 0.0, [(1, 2), (2, 3)]),  # that follow one: the seed saw none
        ([0.9999999, 1.0, 3.5], 0.0, [(1, 1), (3, 3)]),  # rounding; two epochs at once
        ([1.5, 2.0], 1.2, [(2, 2)]),  # a resumed run has its first epoch behind it
    ],
)
def test_it_looks_once_an_epoch(model, tokenizer, epochs, resumed_at, looks) -> None:
    """At the evaluation that ends an epoch, or the first one after its end."""
    callback = medlora.MedicalSafetyCallback(LengthChecker(), max_new_tokens=2)
    evaluate(callback, model, tokenizer, epochs, resumed_at=resumed_at)
    assert [(look["epoch"], look["step"]) for look in callback.history] == looks


def test_it_prints_rates_with_their_counts_and_no_text(model, tokenizer, capsys) -> None:
    """The average score is the checker's, not the rate once more."""
    checker = LengthChecker()
    callback = medlora.MedicalSafetyCallback(checker, [], max_new_tokens=8)
    evaluate(callback, model, tokenizer, [1.0])
    printed = capsys.readouterr()
    assert printed.out == (
        "Safety Evaluation - Epoch 1:\n"
        "  Compliance Rate: 33.33% (1 of 3)\n"
        "  Average Safety Score: 0.500 (of 3 answers)\n"
    )
    assert printed.err == ""
    assert len(checker.seen) == len(PROMPTS)
    assert callback.history == [
        {
            "epoch": 1,
            "step": 1,
            "prompts": 3,
            "compliant": 1,
            "compliance_rate": pytest.approx(1 / 3),
            "avg_safety_score": 0.5,
            "refused_rate": 0.0,
            "degenerate_rate": 0.0,
        }
    ]


def test_without_a_checker_it_uses_ours(model, tokenizer) -> None:
    """Which counts collapsed answers, and how many answers each rule hit."""
    callback = medlora.MedicalSafetyCallback(max_new_tokens=24)
    evaluate(callback, model, tokenizer, [1.0])
    (look,) = callback.history
    collapsed = look["findings/DEGENERATE_OUTPUT"]  # random weights
    assert 1 <= collapsed <= 3
    assert look["degenerate_rate"] == collapsed / 3
    assert look["compliance_rate"] == pytest.approx(1 - collapsed / 3)


def test_it_leaves_every_random_state_the_mode_and_the_tokenizer_alone(model, tokenizer) -> None:
    """A tokenizer without a template is asked in the plain one, and stays without."""
    tokenizer.chat_template = None
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    callback = medlora.MedicalSafetyCallback(LengthChecker(), prompts=["pain"], max_new_tokens=4)
    evaluate(callback, model, tokenizer, [1.0])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    assert model.training
    assert tokenizer.chat_template is None
    assert callback.history[0]["prompts"] == 1
