"""rsLoRA, DoRA and LoRA+: really on, trained, saved whole, loaded and merged to the same logits."""

import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from medlora.config import LoraConfig, ModelConfig, TrainingConfig
from medlora.model.adapter import attach, trainable_parameters
from medlora.model.base import load_base
from medlora.train.forward import Forward
from medlora.train.loop import Computation, train_steps
from medlora.train.optim import build_optimizer, loraplus
from tests.tiny import enliven, save_adapter

IDS = torch.arange(5, 25).reshape(2, 10)
VARIANTS: dict[str, dict[str, object]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "loraplus": {"loraplus_lr_ratio": 8},
    "all": {"use_rslora": True, "use_dora": True, "loraplus_lr_ratio": 8},
    "head": {"target_modules": ["q_proj", "lm_head"]},
}
EACH = pytest.mark.parametrize("variant", VARIANTS)


def make(base_folder: Path, variant: str) -> tuple[PeftModel, LoraConfig]:
    """The small Llama with this adapter."""
    cfg = LoraConfig(**({"r": 4, "lora_alpha": 8, "lora_dropout": 0.0} | VARIANTS[variant]))
    return attach(load_base(base_folder, ModelConfig(), half=None), cfg, seed=1), cfg


def layers(model: PeftModel) -> list[LoraLayer]:
    """The layers that carry an adapter."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def train(model: PeftModel, cfg: LoraConfig) -> list[float]:
    """Learn one batch by heart for eight steps; return the losses."""
    training = TrainingConfig(
        num_train_epochs=8,
        learning_rate=1e-2,
        warmup_steps=0,
        gradient_accumulation_steps=1,
        gradient_checkpointing=False,
    )
    accelerator = Accelerator(cpu=True)
    optimizer = build_optimizer(
        model.parameters(), training, multipliers=loraplus(model, cfg.loraplus_lr_ratio)
    )
    prepared, optimizer = accelerator.prepare(model, optimizer)
    batch = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "labels": IDS}
    loader = torch.utils.data.DataLoader([batch], batch_size=None)
    computation = Computation(
        accelerator=accelerator, optimizer=optimizer, forward=Forward(prepared), cfg=training
    )
    model.train()
    results = list(train_steps(computation, loader))
    model.eval()
    return [result.loss for result in results]


@EACH
@torch.no_grad()
def test_a_fresh_adapter_of_any_kind_changes_nothing(base_folder: Path, variant: str) -> None:
    """DoRA divides and multiplies by the same norm, so there it is equal to rounding alone."""
    model, _ = make(base_folder, variant)
    base = load_base(base_folder, ModelConfig(), half=None)
    torch.testing.assert_close(model.eval()(IDS).logits, base(IDS).logits, atol=1e-5, rtol=1e-5)


def test_the_scale_is_alpha_over_r_or_over_its_root(base_folder: Path) -> None:
    """In the layers themselves."""
    for variant, scale in (("lora", 8 / 4), ("rslora", 8 / math.sqrt(4))):
        scales = [layer.scaling["default"] for layer in layers(make(base_folder, variant)[0])]
        assert scales == [scale] * 8


def test_rslora_multiplies_the_update_by_the_root_of_r(base_folder: Path) -> None:
    """The same factors make an update twice as large at rank 4."""
    plain, _ = make(base_folder, "lora")
    rooted, _ = make(base_folder, "rslora")
    for model in (plain, rooted):
        enliven(model)
    one, other = (layers(model)[0].get_delta_weight("default") for model in (plain, rooted))
    torch.testing.assert_close(other, 2 * one)


def test_doras_magnitudes_are_there_trained_and_saved(base_folder: Path, tmp_path: Path) -> None:
    """One number for each output of each adapted layer, other after training than before."""
    model, cfg = make(base_folder, "dora")
    before = magnitudes(model)
    assert {name: tuple(tensor.shape) for name, tensor in before.items()} == {
        f"base_model.model.model.layers.{layer}.self_attn.{target}.lora_magnitude_vector": (32,)
        for layer in range(2)
        for target in ("q_proj", "k_proj", "v_proj", "o_proj")
    }
    assert trainable_parameters(model) == 8 * (4 * (32 + 32) + 32)
    train(model, cfg)
    save_adapter(model, tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    for name, tensor in magnitudes(model).items():
        assert not torch.equal(tensor, before[name]), name
        assert torch.equal(saved[name], tensor), name


def magnitudes(model: PeftModel) -> dict[str, torch.Tensor]:
    """Copies of DoRA's vectors under their names in the file."""
    return {
        name.removesuffix(".default.weight"): parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if "magnitude" in name
    }


@EACH
@torch.no_grad()
def test_trained_saved_loaded_and_merged_it_is_the_same_model(
    base_folder: Path, tmp_path: Path, variant: str
) -> None:
    """PEFT loads the two files to the same bits; merged, the logits agree to 1e-4."""
    model, cfg = make(base_folder, variant)
    base = model.eval()(IDS).logits
    with torch.enable_grad():
        losses = train(model, cfg)
    assert losses[-1] < losses[0] - 0.1
    logits = model(IDS).logits
    assert not torch.allclose(logits, base, atol=1e-2)

    save_adapter(model, tmp_path)
    fresh = load_base(base_folder, ModelConfig(), half=None)
    loaded = PeftModel.from_pretrained(fresh, tmp_path).eval()
    assert torch.equal(loaded(IDS).logits, logits)
    merged = loaded.merge_and_unload()
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]
    torch.testing.assert_close(merged(IDS).logits, logits, atol=1e-4, rtol=0)


def test_loraplus_learns_otherwise_than_lora(base_folder: Path) -> None:
    """The same first loss, and another one as soon as B has moved."""
    plain, faster = (train(*make(base_folder, variant)) for variant in ("lora", "loraplus"))
    assert plain[0] == faster[0]
    assert plain[2] != faster[2]
