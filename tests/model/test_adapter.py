"""An adapter is attached where asked, starts as nothing, and is what PEFT loads."""

from pathlib import Path

import peft
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load
from transformers import AutoModelForCausalLM, Gemma3Config

from medlora.config import LoraConfig, ModelConfig
from medlora.errors import ConfigError, MedloraError
from medlora.model.adapter import (
    adapted_modules,
    adapter_bytes,
    adapter_tensors,
    attach,
    trainable_parameters,
)
from medlora.model.base import load_base
from tests.tiny import save_adapter

IDS = torch.arange(10)[None]


def test_a_fresh_adapter_changes_nothing_and_is_counted(base_folder: Path) -> None:
    """B is zero; the count is r x (in + out) over the matched layers."""
    base = load_base(base_folder, ModelConfig(), half=None)
    before = base(IDS).logits
    model = attach(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]), seed=1).eval()
    assert torch.equal(model(IDS).logits, before)
    assert adapted_modules(model) == {"q_proj": 2, "v_proj": 2}
    assert trainable_parameters(model) == 4 * 4 * (32 + 32)


def test_the_seed_decides_the_adapter(base_folder: Path) -> None:
    """Same seed, same bits; another seed, others."""
    first, second, other = (
        adapter_tensors(
            attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(), seed=s)
        )
        for s in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_all_linear_reaches_every_layer_but_the_head(base_folder: Path) -> None:
    """PEFT's word works through the config."""
    base = load_base(base_folder, ModelConfig(), half=None)
    model = attach(base, LoraConfig(target_modules="all-linear"), seed=1)
    assert set(adapted_modules(model)) == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }


def test_a_target_that_matches_nothing_lists_what_there_is(base_folder: Path) -> None:
    """Half a match is no match: each name must exist."""
    base = load_base(base_folder, ModelConfig(), half=None)
    with pytest.raises(ConfigError) as error:
        attach(base, LoraConfig(target_modules=["q_proj", "query"]), seed=1)
    assert "has no query" in str(error.value)
    assert "choose from: down_proj, gate_proj, k_proj, lm_head" in str(error.value)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], "all-linear"])
def test_only_what_text_passes_gets_an_adapter(targets: list[str] | str) -> None:
    """Not the tower for images, whose layers have the same names; nor are they offered."""
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16}
    images = {**small, "intermediate_size": 48, "image_size": 28, "patch_size": 14}
    base = AutoModelForCausalLM.from_config(
        Gemma3Config(text_config={**text, "vocab_size": 60}, vision_config=images)
    )
    assert any("vision_tower" in name for name, _ in base.named_parameters())
    with pytest.raises(ConfigError, match="choose from: down_proj, gate_proj, k_proj, lm_head"):
        attach(base, LoraConfig(target_modules=["out_proj"]), seed=1)
    model = attach(base, LoraConfig(target_modules=targets), seed=1)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".language_model.layers." in name for name in trained)


def test_peft_loads_what_is_written(base_folder: Path, tmp_path: Path) -> None:
    """The same logits to the bit, from the two files alone."""
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=4), seed=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    save_adapter(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    fresh = load_base(base_folder, ModelConfig(), half=None)
    loaded = PeftModel.from_pretrained(fresh, tmp_path).eval()
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("name", ["lm_head.weight", "0.self_attn.q_proj.lora_A.default.weight"])
def test_what_is_saved_must_be_what_trains(base_folder: Path, name: str) -> None:
    """A part of the base that trains would be lost, a frozen part of the adapter is a mistake."""
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=4), seed=1)
    count = trainable_parameters(model)
    parameter = next(p for full, p in model.named_parameters() if full.endswith(name))
    parameter.requires_grad = not parameter.requires_grad
    with pytest.raises(MedloraError) as error:
        adapter_bytes(model)
    assert f"hold {count} parameters, but {trainable_parameters(model)} are trainable" in str(
        error.value
    )
    assert "1 tensors differ, the first is base_model.model" in str(error.value)
    assert error.value.exit_code == 70


def test_a_whole_module_that_peft_saves_is_part_of_it(base_folder: Path) -> None:
    """Whoever brings a model with modules_to_save or an adapted embedding gets all of it back."""
    config = peft.LoraConfig(
        r=2, target_modules=["q_proj", "embed_tokens"], modules_to_save=["lm_head"]
    )
    model = peft.get_peft_model(load_base(base_folder, ModelConfig(), half=None), config)
    saved = load(adapter_bytes(model))
    assert sum(tensor.numel() for tensor in saved.values()) == trainable_parameters(model)
