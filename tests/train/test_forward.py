"""However rows are laid out and whatever computes them: the same loss, the same gradient."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import (
    BertConfig,
    BertLMHeadModel,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from medlora.config import LoraConfig, ModelConfig
from medlora.data.micro_batches import Batch, Collate, packed, padded
from medlora.data.token_rows import Row
from medlora.errors import ConfigError, MissingPartError
from medlora.model import packed_attention
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.model.linear import lean_linears
from medlora.model.packed_attention import NAME, attend_by_record
from medlora.train.forward import Forward
from tests.tiny import enliven

SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SMALL)),
    "tied": (LlamaForCausalLM, LlamaConfig(**SMALL, tie_word_embeddings=True)),
    "mistral-window": (MistralForCausalLM, MistralConfig(**SMALL, sliding_window=5)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SMALL)),
    "cohere-scaled-logits": (CohereForCausalLM, CohereConfig(**SMALL, logit_scale=0.25)),
    "gemma2-capped-logits": (Gemma2ForCausalLM, Gemma2Config(**SMALL, head_dim=8)),
    "gpt2": (
        GPT2LMHeadModel,
        GPT2Config(vocab_size=60, n_positions=64, n_embd=32, n_layer=2, n_head=4),
    ),
    "mamba": (
        MambaForCausalLM,
        MambaConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, state_size=4),
    ),
}


def make_rows(lengths: tuple[int, ...] = (9, 4, 13, 7, 2, 6)) -> list[Row]:
    """Rows of these lengths with a prompt of one to three tokens."""
    draw = torch.Generator().manual_seed(3)
    return [
        Row(
            torch.randint(1, 60, (n,), generator=draw).int().numpy(),
            torch.arange(n).numpy() >= 1 + n % 3,
        )
        for n in lengths
    ]


def make(name: str, attention: str = "sdpa") -> PreTrainedModel:
    """A small model of a kind; its embeddings alone train, so that a gradient is all it has."""
    kind, config = MODELS[name]
    torch.manual_seed(1)
    config._attn_implementation = attention if name != "mamba" else None
    model = kind(config).train()
    attend_by_record(model)
    return model.requires_grad_(requires_grad=False)


def gradient(model: torch.nn.Module, forward: Forward, batches: list) -> list[torch.Tensor]:
    """The summed loss and its gradient by the trained parameters."""
    trained = [p for p in model.parameters() if p.requires_grad]
    nats = sum(forward.nats(batch) for batch in batches)
    return [nats.detach(), *torch.autograd.grad(nats, trained)]


def adapted(base_folder: Path, attention: str, *, lean: bool = True) -> PeftModel:
    """The small Llama with an adapter that does something."""
    base = load_base(base_folder, ModelConfig(attn_implementation=attention), half=None)
    attend_by_record(base)
    model = enliven(attach(base, LoraConfig(r=4, lora_dropout=0), seed=1))
    if lean:
        lean_linears(model)
    return model.double().train()  # so that rounding hides nothing


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_layout_gives_the_plain_ways_loss_and_gradient(
    base_folder: Path, attention: str
) -> None:
    """Packed, grouped and padded; with all levers and with none."""
    rows = make_rows()
    plain = adapted(base_folder, attention, lean=False)
    expected = gradient(
        plain, Forward(plain, targets_only=False), [padded([row], pad_id=0) for row in rows]
    )
    model = adapted(base_folder, attention)
    forward = Forward(model)
    assert forward.packs
    assert forward.targets_only
    for layout in ("packed", "grouped", "plain"):
        collate = Collate(layout, batch_size=2, max_length=13, pad_id=0)
        found = gradient(model, forward, collate(rows))
        for one, other in zip(found, expected, strict=True):
            assert (one - other).abs().max() <= 2e-5 * other.abs().max()


@pytest.mark.parametrize("name", MODELS)
def test_a_lean_way_is_taken_only_where_it_gives_the_models_own_numbers(name: str) -> None:
    """Scaled and capped logits, windows, tied and strange models: probed, not listed."""
    model, rows = make(name), make_rows()
    forward = Forward(model)
    alone = [padded([row], pad_id=0) for row in rows]
    with torch.no_grad():
        expected = sum(
            torch.nn.functional.cross_entropy(
                model.eval()(batch["input_ids"]).logits[0, :-1], batch["labels"][0, 1:],
                reduction="sum",
            )
            for batch in alone
        )  # fmt: skip
        assert forward.nats(padded(rows, pad_id=0)) == pytest.approx(float(expected), rel=1e-5)
        if forward.packs:
            assert forward.nats(packed(rows)) == pytest.approx(float(expected), rel=1e-5)
        else:
            with pytest.raises(ConfigError, match=r"training\.packing: false"):
                forward.nats(packed(rows))
    can = {"cohere-scaled-logits": (True, False), "gemma2-capped-logits": (True, False)}
    can |= {"mamba": (False, True)}
    assert (forward.packs, forward.targets_only) == can.get(name, (True, True))


def all_shares(forward: Forward, batch: Batch) -> torch.Tensor:
    """The log probability of every token at every position, float32 [1, T, V]."""
    everywhere = torch.ones_like(batch["input_ids"], dtype=torch.bool)
    tokens = torch.arange(60).expand(everywhere.numel(), 60)
    return forward.log_shares(batch, everywhere, tokens)[None]


def test_another_record_changes_no_logit_of_its_neighbours() -> None:
    """Not by one bit, whichever record is changed."""
    model = make("mistral-window").eval()
    forward, rows = Forward(model), make_rows()
    whole = packed(rows)
    starts = [0, *torch.tensor([len(row.ids) for row in rows]).cumsum(0).tolist()]
    with torch.no_grad():
        before = all_shares(forward, whole)
        for index in range(len(rows)):
            here = slice(starts[index], starts[index + 1])
            ids = whole["input_ids"].clone()
            ids[:, here] = (ids[:, here] + 7) % 60
            changed = all_shares(forward, {**whole, "input_ids": ids}) != before
            changed = changed.any(dim=-1)[0]
            assert changed[here].any()
            changed[here] = False
            assert not changed.any()


def test_a_leak_that_rounding_could_hide_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millionth of what the first record says reaches the others."""
    original = packed_attention.attend

    def leaky(module, query, key, value, *args, **kwargs):
        output, weights = original(module, query, key, value, *args, **kwargs)
        return output + 1e-6 * value[:, :1, :1].transpose(1, 2), weights

    assert Forward(make("llama")).packs
    monkeypatch.setattr(packed_attention, "attend", leaky)
    assert not Forward(make("llama")).packs


def test_the_model_is_left_in_its_mode_and_no_random_number_is_drawn() -> None:
    """The probe disturbs nothing."""
    model = make("llama")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Forward(model)
    assert model.training
    assert torch.equal(torch.rand(1), expected)


def test_generation_answers_as_before(base_folder: Path) -> None:
    """Attention by records is sdpa for everything that is not packed, caches included."""
    models = [load_base(base_folder, ModelConfig(), half=None).eval() for _ in range(2)]
    attend_by_record(models[1])
    assert models[1].config._attn_implementation == NAME
    ids = torch.tensor([[0, 0, 5, 6, 7, 8], [9, 10, 11, 12, 13, 14]])
    mask = (ids > 0).long()
    answers = [
        m.generate(
            ids, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0,
            eos_token_id=None,
        )
        for m in models
    ]  # fmt: skip
    assert torch.equal(*answers)


def test_ids_beyond_the_vocabulary_are_an_error() -> None:
    """The tokenizer of another model."""
    row = make_rows((5,))[0]
    row.ids[2] = 60
    with pytest.raises(ConfigError, match="beyond the model's vocabulary"):
        Forward(make("llama")).nats(packed([row]))


@pytest.mark.parametrize("half", [False, True])
def test_a_model_that_sees_what_it_has_to_predict_is_refused(half: bool) -> None:
    """BERT, which transformers loads as a causal model without a word."""
    torch.manual_seed(0)
    config = BertConfig(**{**SMALL, "initializer_range": 0.3})
    model = BertLMHeadModel(config).eval()
    with pytest.raises(MissingPartError, match="no causal language model"):
        Forward(model.to(torch.bfloat16) if half else model)
    config.is_decoder = True
    Forward(BertLMHeadModel(config).eval())
