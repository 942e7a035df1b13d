"""Bases other than a Llama through the whole job: interrupted, the same bits; merged, the same."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    MambaConfig,
    MixtralConfig,
    Phi3Config,
)

from medlora.checkpoint.folder_format import read_manifest
from medlora.jobs import merge, train
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop
from tests.tiny import save_model

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "vocab_size": 420,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "initializer_range": 0.1,
}
LLAMA_LIKE = {**SMALL, "intermediate_size": 64, "num_key_value_heads": 1}
# The config, the layers that get an adapter, the attention and the layout that a run takes.  How
# many tokens an expert gets decides how it rounds, so neighbours in a row are not without effect.
BASES = {
    "phi3-fused": (Phi3Config(**LLAMA_LIKE), "qkv_proj, o_proj", "medlora", "packed"),
    "gemma3": (Gemma3TextConfig(**LLAMA_LIKE, head_dim=16), "q_proj, v_proj", "medlora", "packed"),
    "mixtral": (MixtralConfig(**LLAMA_LIKE, num_local_experts=4), "q_proj", "medlora", "grouped"),
    "gpt2-conv1d": (GPT2Config(**SMALL), "c_attn, c_proj", "medlora", "packed"),
    "bloom": (BloomConfig(**SMALL), "query_key_value", "eager", "grouped"),
    "mamba": (MambaConfig(**SMALL), "in_proj", "eager", "grouped"),
}


@pytest.mark.parametrize("name", BASES)
def test_any_base_goes_on_to_the_same_bits(
    tough_plan: Callable[..., Plan],
    outcome_of,
    stop_after_two_steps,
    tokenizer_folder: Path,
    tmp_path: Path,
    name: str,
) -> None:
    """Rows are packed where the base keeps them apart; the adapter can be merged."""
    config, targets, attention, layout = BASES[name]
    save_model(config, tmp_path / "base")
    shutil.copytree(tokenizer_folder, tmp_path / "base", dirs_exist_ok=True)
    overrides = (
        f"lora.target_modules=[{targets}]",
        f"model.base_model_name={tmp_path / 'base'}",
        "training.packing=null",
    )
    plan = tough_plan("straight", *overrides)
    train.run(plan)
    stop_after_two_steps(tough_plan("cut", *overrides))
    assert (tmp_path / "out/cut/step_2").is_dir()
    train.run(tough_plan("cut", *overrides))
    assert outcome_of("cut") == outcome_of("straight")
    facts = read_manifest(tmp_path / "out/cut/final")
    assert facts["result"]["eval_loss"] < facts["result"]["base_eval_loss"]
    assert facts["compute"]["attention"] == attention
    assert facts["compute"]["layout"] == layout
    merge.run(tmp_path / "out/cut", tmp_path / "merged", plan, allowed=None, stop=Stop())
    assert (tmp_path / "merged/model.safetensors").is_file()
