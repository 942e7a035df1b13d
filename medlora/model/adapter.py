"""Attach a LoRA adapter through PEFT; count it, and hand it out as plain tensors."""

import copy
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import fields
from io import BytesIO
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
from medlora.errors import ConfigError, MedloraError, reason_of
from medlora.logs import logger
from medlora.model.file_names import WEIGHTS
from medlora.model.header import read_header
from medlora.model.targets import ALL, AUTO, choose_targets

_log = logger(__name__)


def attach(base: PreTrainedModel, cfg: LoraConfig, *, seed: int) -> PeftModel:
    """Return the base with a fresh adapter, a pure function of the seed.

    Raises:
        ConfigError: a target module does not exist in the base; lists those that do.
    """
    beside = _beside_the_text(base)
    targets, left = choose_targets(base, cfg.target_modules, beside=beside)
    if cfg.target_modules == AUTO:
        _log.info("lora.target_modules: auto is %s", ", ".join(targets))
    if left and cfg.target_modules == ALL:
        _log.warning(
            "lora.target_modules: all-linear leaves out what cannot be adapted: %s", ", ".join(left)
        )
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        **{
            **_of_peft(cfg),
            "task_type": "CAUSAL_LM",
            "target_modules": ALL if targets == [ALL] else targets,
            "exclude_modules": beside,
            "bias": "none",
        }
    )
    with warnings.catch_warnings():
        # GPT-2's layers keep their weights the other way round; PEFT sets what they need.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        try:
            model: PeftModel = peft.get_peft_model(base, config)
        except (ValueError, AttributeError, TypeError, NotImplementedError, KeyError) as error:
            kind = getattr(base.config, "model_type", "this family")
            raise ConfigError(
                f"lora.target_modules: PEFT cannot adapt {', '.join(targets)} of {kind} "
                f"({type(error).__name__}: {reason_of(error)})",
                fix="name other layers, or set lora.target_modules: auto",
            ) from error
    return model


def _of_peft(cfg: LoraConfig) -> dict[str, Any]:
    """Return the keys of the section that PEFT has by the same name; it applies them itself."""
    known = {field.name for field in fields(peft.LoraConfig)}
    return {name: value for name, value in cfg if name in known}


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


def frozen_parameters(model: PeftModel) -> int:
    """Return how many numbers the base has; of 4-bit layers those that were packed."""
    trainable, everything = model.get_nb_trainable_parameters()
    return int(everything - trainable)


def adapter_parameters(model: PeftModel) -> dict[str, Tensor]:
    """Return the adapter's tensors under PEFT's names, where they are, changing as it trains."""
    # Never the embeddings, which PEFT adds of itself where lm_head has an adapter: the base is
    # frozen, and no part of it belongs to the adapter.
    tensors: dict[str, Tensor] = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    return tensors


def adapter_tensors(model: PeftModel) -> dict[str, Tensor]:
    """Return the adapter's tensors under PEFT's names, on the CPU, in their own type."""
    parameters = adapter_parameters(model)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in parameters.items()}


def adapter_bytes(model: PeftModel, tensors: dict[str, Tensor] | None = None) -> bytes:
    """Return the content of adapter_model.safetensors.

    Args:
        model: whose adapter it is.
        tensors: an earlier state of it, under PEFT's names; the present one where None.

    Raises:
        MedloraError: it would not hold what trains, all of it and no more.
    """
    content: bytes = save(tensors or adapter_tensors(model), metadata={"format": "pt"})
    _check_saved(content, model)
    return content


def adapter_files(model: PeftModel) -> dict[str, bytes]:
    """Return the two files that PEFT loads: adapter_model.safetensors, adapter_config.json."""
    return {WEIGHTS: adapter_bytes(model), **described_files(model)}


def described_files(model: PeftModel) -> dict[str, bytes]:
    """Return the adapter's description, which training does not change."""
    config = copy.deepcopy(model.peft_config["default"])
    config.inference_mode = True  # what PEFT itself writes: a loaded adapter is frozen
    return saved_files(config)


def saved_files(thing: Any) -> dict[str, bytes]:  # noqa: ANN401  (anything with save_pretrained)
    """Return what an object's `save_pretrained` writes, as {file name: content}.

    Several chat templates go into tokenizer_config.json: as files they would need a folder.
    """
    several = isinstance(getattr(thing, "chat_template", None), dict)
    with TemporaryDirectory(prefix="medlora-") as folder:
        thing.save_pretrained(folder, **({"save_jinja_files": False} if several else {}))
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _check_saved(content: bytes, model: PeftModel) -> None:
    """Compare a file's own table of contents with the parameters that train: names and shapes."""
    trained = {
        _saved_name(name): list(parameter.shape)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    saved = {name: entry["shape"] for name, entry in read_header(BytesIO(content)).items()}
    wrong = sorted(name for name in trained | saved if trained.get(name) != saved.get(name))
    if wrong:
        counts = [sum(map(math.prod, shapes.values())) for shapes in (trained, saved)]
        raise MedloraError(
            f"the adapter ({WEIGHTS}) would hold {counts[1]} parameters, but {counts[0]} are "
            f"trainable: {len(wrong)} tensors differ, the first is {wrong[0]}",
            fix="leave all weights of the adapter trainable and freeze the base; to train whole "
            "modules of the base, use PEFT's modules_to_save",
        )


def _saved_name(name: str) -> str:
    """Return the name that PEFT's format has for a parameter: without the adapter's own name."""
    name = name.replace(".modules_to_save.default.", ".")
    # DoRA's vector was a bare parameter once, and its name in the file stayed.
    name = name.replace(".lora_magnitude_vector.default.weight", ".lora_magnitude_vector")
    return re.sub(r"\.default(?=$|\.weight$|\.bias$)", "", name)


def _beside_the_text(base: PreTrainedModel) -> str | None:
    """Return a pattern of the modules that text never passes, e.g. those of a tower for images.

    They have layers of the same names, and adapters on them would stay at zero.
    """
    kept = {id(module) for module in base.get_decoder().modules()}
    head = base.get_output_embeddings()
    if head is not None:
        kept.update(id(module) for module in head.modules())
    outside = [re.escape(name) for name in _outermost_without(kept, base, "")]
    return rf"({'|'.join(outside)})(\..*)?" if outside else None


def _outermost_without(kept: set[int], module: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in module.named_children():
        inner = {id(part) for part in child.modules()}
        if not inner & kept:
            yield prefix + name
        elif not inner <= kept:
            yield from _outermost_without(kept, child, f"{prefix}{name}.")
