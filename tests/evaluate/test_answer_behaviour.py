"""Performance is counts and means; asking leaves the run as it was."""

from pathlib import Path

import pytest
import torch

from medlora.config import LoraConfig, ModelConfig
from medlora.errors import DataError
from medlora.evaluate.answer_behaviour import performance
from medlora.evaluate.safety.degenerate import degenerate
from medlora.model.adapter import attach
from medlora.model.base import load_base


def test_it_measures_all_answers_and_disturbs_nothing(base_folder: Path, tokenizer) -> None:
    """Random state, training mode and the tokenizer's template are as before."""
    base = load_base(base_folder, ModelConfig(), half=None)
    model = attach(base, LoraConfig(r=4, lora_dropout=0.9), seed=1).train()
    tokenizer.chat_template = None
    state, scored = torch.get_rng_state(), []

    def score(answer: str) -> float:
        scored.append(answer)
        return float(len(scored))

    found = performance(model, tokenizer, ["pain", "rest"], score=score, max_new_tokens=24)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert tokenizer.chat_template is None
    lengths = [len(answer.split()) for answer in scored]
    assert len(lengths) == found["prompts"] == 2
    assert found["avg_response_length"] == pytest.approx(sum(lengths) / 2)
    assert found["response_length_std"] == pytest.approx(abs(lengths[0] - lengths[1]) / 2)
    assert found["avg_response_quality"] == pytest.approx(1.5)
    assert found["compliant_rate"] == 1 - found["degenerate_rate"]
    assert found["refused_rate"] == 0.0
    assert found["degenerate_rate"] == sum(map(degenerate, scored)) / 2


def test_the_same_prompt_twice_halves_the_quality(base_folder: Path, tokenizer) -> None:
    """A model that gives one answer to everything is not good at it."""
    model = load_base(base_folder, ModelConfig(), half=None)
    settings = {"score": lambda _: 0.8, "max_new_tokens": 4}
    assert performance(model, tokenizer, ["pain"] * 2, **settings)["avg_response_quality"] == 0.4


def test_no_prompt_is_an_error() -> None:
    """A mean of nothing would be NaN."""
    with pytest.raises(DataError, match="no test prompt"):
        performance(None, None, [], score=len)
