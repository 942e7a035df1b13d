"""What counts as a difference between two models."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medlora.model.merge import base_dtype, difference


def test_the_largest_difference_is_over_all_inputs() -> None:
    """And so is the largest logit; choices are counted at each position."""
    first = [torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([[5.0, 0.0]])]
    second = [torch.tensor([[1.0, 2.5], [3.0, 3.5]]), torch.tensor([[5.0, 0.0]])]
    assert difference(first, second) == (2, 3, 2.5, 5.0, 2)


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
