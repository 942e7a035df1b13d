"""What counts as a difference between two models."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medlora.config import LoraConfig, ModelConfig
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.model.merge import base_dtype, difference, logits_of, merged, saver
from tests.tiny import enliven


def test_the_largest_difference_is_over_all_inputs() -> None:
    """And so is the largest logit; choices are counted at each position."""
    first = [torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([[5.0, 0.0]])]
    second = [torch.tensor([[1.0, 2.5], [3.0, 3.5]]), torch.tensor([[5.0, 0.0]])]
    assert difference(first, second) == (2, 3, 2.5, 5.0, 2)


@pytest.mark.parametrize("targets", [["q_proj", "lm_head"], ["q_proj"]])
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_merging_into_a_head_leaves_shared_weights(base_folder: Path, targets: list[str]) -> None:
    """They stay shared where the head has no adapter."""
    base = load_base(base_folder, ModelConfig(), half=None)
    base.config.tie_word_embeddings = True
    base.tie_weights()
    embeddings = base.get_input_embeddings().weight.detach().clone()
    model = enliven(attach(base, LoraConfig(r=2, target_modules=targets), seed=1), size=0.1).eval()
    ids = [torch.arange(20, 40).reshape(1, 20)]
    before = logits_of(model, ids)
    plain = merged(model)
    assert difference(before, logits_of(plain, ids)).largest < 1e-4
    assert torch.equal(plain.get_input_embeddings().weight, embeddings)
    shared = plain.get_output_embeddings().weight is plain.get_input_embeddings().weight
    assert shared == plain.config.tie_word_embeddings == ("lm_head" not in targets)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_no_number_is_infinitely_far(bad: float, side: int) -> None:
    """In either model, also where both have it."""
    good, spoilt = torch.zeros(2, 3), torch.zeros(2, 3)
    spoilt[1, 1] = bad
    pair = [good, spoilt] if side else [spoilt, good]
    assert difference([pair[0]], [pair[1]]).largest == math.inf
    assert difference([spoilt], [spoilt]).largest == math.inf


def test_the_base_s_type_is_that_of_its_files(tmp_path: Path) -> None:
    """As its config says, by its old or new name; else as its weights are."""
    for config, expected in (
        ({"dtype": "float16"}, "float16"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({}, "bfloat16"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config))
        save_file({"a": torch.zeros(2, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
        assert base_dtype(tmp_path) == expected
    save_file({"a": torch.zeros(2, dtype=torch.int8)}, tmp_path / "model.safetensors")
    assert base_dtype(tmp_path) is None


def test_any_generation_config_goes_along(base_folder: Path, tmp_path: Path) -> None:
    """As it is, though transformers loads a temperature without sampling and would not save it."""
    base = tmp_path / "base"
    shutil.copytree(base_folder, base)
    own = b'{"temperature": 0.9, "top_p": 0.6, "eos_token_id": 0}'
    (base / "generation_config.json").write_bytes(own)
    model = load_base(base, ModelConfig(), half=None)
    (tmp_path / "merged").mkdir()
    saver(model, base)(tmp_path / "merged")
    assert (tmp_path / "merged" / "generation_config.json").read_bytes() == own
    load_base(tmp_path / "merged", ModelConfig(), half=None)
