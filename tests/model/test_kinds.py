"""What a config says decides the class, the attention and the layout, not a list of bases."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Gemma2Config,
    GPT2Config,
    Llama4TextConfig,
    LlamaConfig,
    Mamba2Config,
    MistralConfig,
    PretrainedConfig,
    Qwen2_5_VLConfig,
)

from medlora.config import LoraConfig, ModelConfig
from medlora.data.micro_batches import packed, padded
from medlora.data.token_rows import Row
from medlora.errors import ConfigError, MissingPartError
from medlora.model.adapter import adapted_modules, attach
from medlora.model.base import load_base
from medlora.model.kinds import attention_of, model_class
from medlora.model.packed_attention import attend_by_record
from medlora.train.forward import Forward
from tests.tiny import save_model

SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
}


def rows() -> list[Row]:
    """Rows longer than the windows and chunks below."""
    random = torch.Generator().manual_seed(5)
    ids = [torch.randint(3, 60, (n,), generator=random).numpy().astype("int32") for n in (21, 33)]
    return [Row(one, torch.ones(len(one), dtype=torch.bool).numpy()) for one in ids]


LONG = {
    "soft cap": (Gemma2Config(**SMALL, attn_logit_softcapping=2.0, sliding_window=8), False),
    "window": (MistralConfig(**SMALL, sliding_window=8), True),
    "chunk": (
        Llama4TextConfig(
            **SMALL,
            attention_chunk_size=8,
            num_local_experts=2,
            intermediate_size_mlp=48,
            no_rope_layers=[1, 0],
        ),
        False,
    ),
    "plain": (LlamaConfig(**SMALL), True),
}


@pytest.mark.parametrize("kind", LONG)
def test_long_rows_have_the_loss_of_plain_eager(tmp_path: Path, kind: str) -> None:
    """Packed only where every layer sees as far as it should, a cap never left out."""
    config, packs = LONG[kind]
    base = save_model(config, tmp_path / "base")
    model = load_base(base, ModelConfig(), half=None)
    attend_by_record(model)
    forward = Forward(model)
    assert forward.packs is packs
    batch = packed(rows()) if packs else padded(rows(), pad_id=0)
    eager = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    expected = 0.0
    for row in rows():
        ids = torch.tensor(row.ids.astype("int64"))[None]
        logits = eager(ids).logits[0, :-1]
        nats = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
        expected += float(nats.detach())
    assert float(forward.nats(batch).detach()) == pytest.approx(expected, rel=1e-5)


def test_a_cap_asks_for_eager_whatever_is_configured() -> None:
    """`sdpa` would leave it out in silence."""
    capped = Gemma2Config(**SMALL, attn_logit_softcapping=50.0)
    assert attention_of(ModelConfig(), capped) == "eager"
    assert attention_of(ModelConfig(attn_implementation="sdpa"), capped) == "eager"
    plain = Gemma2Config(**SMALL, attn_logit_softcapping=None)
    assert attention_of(ModelConfig(), plain) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(**SMALL), {"q_proj": 2, "k_proj": 2, "v_proj": 2, "o_proj": 2}),
        (
            GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2),
            {"c_attn": 2, "c_proj": 2},
        ),
        (
            Mamba2Config(
                vocab_size=64, hidden_size=32, num_hidden_layers=2, num_heads=4, head_dim=16,
                state_size=8, n_groups=1,
            ),
            {"in_proj": 2},
        ),
    ],
    ids=["llama", "gpt2", "mamba2"],
)  # fmt: skip
def test_auto_finds_the_projections_of_attention(
    tmp_path: Path, config: PretrainedConfig, expected: dict[str, int]
) -> None:
    """By their names in the family; of GPT-2 the one of the same name elsewhere is left alone."""
    base = load_base(save_model(config, tmp_path / "base"), ModelConfig(), half=None)
    assert adapted_modules(attach(base, LoraConfig(r=2), seed=1)) == dict(sorted(expected.items()))


def test_all_linear_says_what_it_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What PEFT or a fused kernel cannot adapt; named alone, that is an error."""
    config = Mamba2Config(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_heads=4, head_dim=16, state_size=8,
        n_groups=1,
    )  # fmt: skip
    folder = save_model(config, tmp_path / "base")
    base = load_base(folder, ModelConfig(), half=None)
    with caplog.at_level("WARNING", logger="medlora"):
        model = attach(base, LoraConfig(r=2, target_modules="all-linear"), seed=1)
    assert "all-linear leaves out what cannot be adapted: out_proj" in caplog.text
    assert adapted_modules(model) == {"in_proj": 2}
    again = load_base(folder, ModelConfig(), half=None)
    with pytest.raises(ConfigError, match="out_proj of this base cannot be adapted"):
        attach(again, LoraConfig(r=2, target_modules=["out_proj"]), seed=1)


def test_a_base_that_sees_is_loaded_for_text(tmp_path: Path) -> None:
    """By the class that it is saved as, and adapted where text passes."""
    text = {key: value for key, value in SMALL.items() if key != "head_dim"}
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    config = Qwen2_5_VLConfig(
        text_config={
            **text,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={**vision, "out_hidden_size": 32},
    )
    config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
    assert model_class(config) is AutoModelForImageTextToText
    base = load_base(save_model(config, tmp_path / "base"), ModelConfig(), half=None)
    model = attach(base, LoraConfig(r=2), seed=1)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".language_model." in name for name in trained)


def test_a_family_that_is_not_known_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Whatever transformers raises for it."""
    (tmp_path / "config.json").write_text('{"model_type": "no_such_family"}')
    with pytest.raises(MissingPartError, match=r"cannot use its config.json \(ValueError\)"):
        load_base(tmp_path, ModelConfig(), half=None)
