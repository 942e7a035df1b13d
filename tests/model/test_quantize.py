"""QLoRA on the CPU: four bits are loaded, trained on, saved beside and loaded again."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel

from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.errors import MissingPartError
from medlora.model.adapter import adapted_modules, attach, trainable_parameters
from medlora.model.base import load_base
from medlora.model.quantize import check_quantizer
from medlora.train.forward import Forward
from medlora.train.loop import Computation, train_steps
from medlora.train.optim import build_optimizer
from tests.tiny import enliven, llama, save_adapter

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None,
    reason="bitsandbytes is not installed (uv sync --extra qlora)",
)
IDS = torch.arange(5, 25).reshape(2, 10)
QLORA = ModelConfig(load_in_4bit=True)


@pytest.fixture(scope="session")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose rows fill whole blocks of 64 weights, as every real one's do."""
    folder = tmp_path_factory.mktemp("wide")
    llama(vocab_size=64, hidden_size=64, intermediate_size=128).save_pretrained(folder)
    return folder


def make(folder: Path, cfg: ModelConfig = QLORA, **lora: object) -> PeftModel:
    """The model with an adapter of rank 4."""
    values: dict[str, object] = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}
    return attach(load_base(folder, cfg, half=None), LoraConfig(**(values | lora)), seed=1)


def train(model: PeftModel) -> list[float]:
    """Learn one batch by heart for eight steps, checkpointing as a run does; the losses."""
    training = TrainingConfig(
        num_train_epochs=8, learning_rate=1e-2, warmup_steps=0, gradient_accumulation_steps=1
    )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    accelerator = Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, build_optimizer(model.parameters(), training))
    batch = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "labels": IDS}
    loader = torch.utils.data.DataLoader([batch], batch_size=None)
    computation = Computation(
        accelerator=accelerator, optimizer=optimizer, forward=Forward(prepared), cfg=training
    )
    model.train()
    losses = [r.loss for r in train_steps(computation, loader)]
    model.eval()
    return losses


@needs_bitsandbytes
def test_the_linear_layers_take_half_a_byte_a_weight(wide_folder: Path) -> None:
    """Embeddings, norms and head keep the type asked for; nothing of the base trains."""
    for dtype in (torch.float32, torch.bfloat16):
        base = load_base(wide_folder, QLORA, half=dtype)
        kinds = {name: p.dtype for name, p in base.named_parameters()}
        quantized = {name for name, kind in kinds.items() if kind == torch.uint8}
        assert len(quantized) == 2 * 7
        assert {kind for name, kind in kinds.items() if name not in quantized} == {dtype}
        layer = base.model.layers[0].mlp.up_proj
        assert layer.weight.numel() == 64 * 128 / 2
        assert layer.compute_dtype == dtype
        assert not any(p.requires_grad for p in base.parameters())


@needs_bitsandbytes
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@torch.no_grad()
def test_the_config_decides_the_format(wide_folder: Path, kind: str, double: bool) -> None:
    """Kind and nesting reach the layers, and the logits stay near the unquantized ones."""
    cfg = ModelConfig(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double)
    base = load_base(wide_folder, cfg, half=None)
    state = base.model.layers[0].mlp.up_proj.weight.quant_state
    assert (state.quant_type, state.nested) == (kind, double)
    exact = load_base(wide_folder, ModelConfig(), half=None)(IDS).logits
    error = (base(IDS).logits - exact).norm() / exact.norm()
    assert 0.01 < float(error) < 0.5


@needs_bitsandbytes
@pytest.mark.parametrize("lora", [{}, {"use_dora": True}, {"target_modules": "all-linear"}])
def test_it_trains_saves_and_loads(wide_folder: Path, tmp_path: Path, lora) -> None:
    """The loss falls; the adapter alone is saved, and on the same 4 bits has the same logits."""
    model = make(wide_folder, **lora)
    assert len(adapted_modules(model)) == (7 if "target_modules" in lora else 4)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    losses = train(model)
    assert losses[-1] < losses[0] - 0.1
    save_adapter(model, tmp_path)
    size = (tmp_path / "adapter_model.safetensors").stat().st_size
    assert size == pytest.approx(4 * trainable_parameters(model), rel=0.5)
    loaded = PeftModel.from_pretrained(load_base(wide_folder, QLORA, half=None), tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, model(IDS).logits)


@needs_bitsandbytes
@pytest.mark.parametrize("folder", ["wide_folder", "base_folder"])
def test_an_evaluation_changes_nothing_about_the_gradients(folder: str, request) -> None:
    """Also where bitsandbytes would repack the weights for inference, or fail to."""
    model = enliven(make(request.getfixturevalue(folder)), size=0.01)

    def gradients() -> dict[str, torch.Tensor]:
        model.train().zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}

    before = gradients()
    with torch.no_grad():
        loss = float(model.eval()(input_ids=IDS, labels=IDS).loss)
    after = gradients()
    assert math.isfinite(loss)
    assert all(float(gradient.norm()) > 0 for gradient in before.values())
    assert all(torch.equal(after[name], gradient) for name, gradient in before.items())


def test_without_bitsandbytes_it_is_a_missing_part(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """69, before anything is loaded; without 4 bits nobody misses it."""
    monkeypatch.setattr("medlora.config.conflicts.find_spec", lambda _name: None)
    with pytest.raises(MissingPartError, match="bitsandbytes is not installed") as error:
        check_quantizer(QLORA)
    assert "uv sync --extra qlora" in str(error.value)
    assert error.value.exit_code == 69
    with pytest.raises(MissingPartError, match="bitsandbytes is not installed"):
        load_base(base_folder, QLORA, half=None)
    load_base(base_folder, ModelConfig(), half=None)
