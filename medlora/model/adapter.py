"""Attach a LoRA adapter through PEFT; count it, and hand it out as plain tensors."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import peft
import torch
from peft import PeftModel
from safetensors.torch import save
from torch import Tensor, nn
from transformers import PreTrainedModel

from medlora.config import LoraConfig
from medlora.errors import ConfigError

WEIGHTS = "adapter_model.safetensors"


def attach(base: PreTrainedModel, cfg: LoraConfig, *, seed: int) -> PeftModel:
    """Return the base with a fresh adapter, a pure function of the seed.

    Raises:
        ConfigError: a target module does not exist in the base; lists those that do.
    """
    _check_targets(base, cfg.target_modules)
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=cfg.r,
        lora_alpha=cfg.lora_alpha,
        lora_dropout=cfg.lora_dropout,
        target_modules=cfg.target_modules,
        bias="none",
    )
    model: PeftModel = peft.get_peft_model(base, config)
    return model


def adapted_modules(model: nn.Module) -> dict[str, int]:
    """Return {module name: how many layers of it carry an adapter}, e.g. {'q_proj': 32}."""
    counts: dict[str, int] = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and hasattr(module, "base_layer"):
            short = name.rsplit(".", 1)[-1]
            counts[short] = counts.get(short, 0) + 1
    return dict(sorted(counts.items()))


def trainable_parameters(model: nn.Module) -> int:
    """Return how many numbers the optimizer changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model: PeftModel) -> dict[str, Tensor]:
    """Return the adapter's tensors under PEFT's names, on the CPU, in their own type."""
    tensors = peft.get_peft_model_state_dict(model)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def adapter_files(model: PeftModel) -> dict[str, bytes]:
    """Return the two files that PEFT loads: adapter_model.safetensors, adapter_config.json."""
    return {
        WEIGHTS: save(adapter_tensors(model), metadata={"format": "pt"}),
        **described_files(model),
    }


def described_files(model: PeftModel) -> dict[str, bytes]:
    """Return the adapter's description, which training does not change."""
    config = copy.deepcopy(model.peft_config["default"])
    config.inference_mode = True  # what PEFT itself writes: a loaded adapter is frozen
    return saved_files(config)


def saved_files(thing: Any) -> dict[str, bytes]:  # noqa: ANN401  (anything with save_pretrained)
    """Return what an object's `save_pretrained` writes, as {file name: content}."""
    with TemporaryDirectory(prefix="medlora-") as folder:
        thing.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _check_targets(base: nn.Module, targets: list[str] | str) -> None:
    if isinstance(targets, str):
        return
    linear = {name for name, module in base.named_modules() if isinstance(module, nn.Linear)}
    missing = [
        target
        for target in targets
        if not any(name == target or name.endswith(f".{target}") for name in linear)
    ]
    if missing:
        have = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
        raise ConfigError(
            f"lora.target_modules: the base model has no {', '.join(missing)}",
            fix=f"choose from: {have}",
        )
