"""Answers are greedy, end by themselves, and leave every random state alone."""

from pathlib import Path

import torch

from medlora.config import LoraConfig, ModelConfig
from medlora.evaluate.generate import answers
from medlora.model.adapter import attach
from medlora.model.base import load_base


def test_answers_are_repeatable_and_disturb_nothing(base_folder: Path, tokenizer) -> None:
    """Same answers twice; the training mode and the random state are as before."""
    base = load_base(base_folder, ModelConfig(), half=None)
    model = attach(base, LoraConfig(r=4, lora_dropout=0.9), seed=1).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.3)
    state = torch.get_rng_state()
    first = answers(model, tokenizer, ["pain in the chest", "rest"], max_new_tokens=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert first == answers(model, tokenizer, ["pain in the chest", "rest"], max_new_tokens=5)
    assert len(first) == 2
