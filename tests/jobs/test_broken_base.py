"""A base that cannot be trained from is told for what it is."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from medlora.errors import DivergedError, MissingPartError
from medlora.jobs import train
from medlora.plan.resolve_run import Plan

_WEIGHT = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def broken_base(base_folder: Path, tmp_path: Path) -> Path:
    """The small Llama with one number of one weight that is NaN."""
    folder = shutil.copytree(base_folder, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights[_WEIGHT][3, 4] = math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("held_out", [True, False])
def test_a_base_that_is_not_finite_is_named(
    held_out: bool, tough_plan: Callable[..., Plan], broken_base: Path
) -> None:
    """79 with the weight's name, before the first step where rows are held out; no wrong advice."""
    changes = [f"model.base_model_name={broken_base}"]
    changes += [] if held_out else ["data.eval_fraction=0", "training.max_skipped_steps=1"]
    with pytest.raises(DivergedError, match=f"weight {_WEIGHT} is not finite") as error:
        train.run(tough_plan("broken", *changes))
    assert "learning_rate" not in str(error.value)


def test_a_pattern_that_makes_the_tokenizer_give_up_is_one_clear_error(
    tough_plan: Callable[..., Plan],
    base_folder: Path,
    data_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """69, and nothing of what the library prints: it may quote a row."""
    folder = shutil.copytree(base_folder, tmp_path / "base")
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    split = {"type": "Split", "pattern": {"Regex": "(x+x+)+y"}, "behavior": "Isolated"}
    steps = [{**split, "invert": False}, tokenizer["pre_tokenizer"]]
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    file.write_text(json.dumps(tokenizer))
    with data_file.open("a") as rows:
        rows.write(json.dumps({"prompt": "x" * 60, "response": "y"}) + "\n")
    with pytest.raises(MissingPartError, match=r"the data \(encoding.py:\d+\)") as error:
        train.run(tough_plan("panic", f"model.base_model_name={folder}"))
    said = capfd.readouterr().err + str(error.value)
    assert "panicked" not in said
    assert "retry-limit" not in said
