"""Which layers of a base get an adapter: names of its linear layers, found where attention is."""

import re
from collections.abc import Iterator, Sequence

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from medlora.errors import ConfigError

AUTO, ALL = "auto", "all-linear"
LINEAR = (nn.Linear, Conv1D)  # layers that PEFT can adapt; the second is GPT-2's
_USUAL = ("q_proj", "k_proj", "v_proj", "o_proj")
# Modules that mix the tokens of a row, whatever a family calls them.
_MIXES = re.compile(
    r"attention|attn|mixer|mamba|ssm|deltanet|recurrent|timemix|shortconv", re.IGNORECASE
)
# Their weights are read by fused kernels that never call the layer: an adapter would stay at zero,
# or be lost once it is merged.
_FUSED = frozenset(("dt_proj", "conv1d"))
# Linear layers of a family's own that compute what nn.Linear does.
_PLAIN = frozenset(("FalconLinear",))
# Families in which PEFT refuses these as well.  Source: PEFT, _check_lora_target_modules_mamba.
_MAMBA = frozenset(("falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"))
_NOT_IN_MAMBA = frozenset(("out_proj", "conv1d"))


def choose_targets(
    base: PreTrainedModel, wanted: Sequence[str] | str, *, beside: str | None
) -> tuple[list[str], list[str]]:
    """Return the names of the layers to adapt, and of linear layers that cannot be.

    Args:
        base: the model.
        wanted: `auto` for the projections of attention, `all-linear`, or names.
        beside: pattern of modules that text never passes.

    Raises:
        ConfigError: a name does not exist in the base, or cannot be adapted; lists those that can.
    """
    layers = dict(_layers(base, beside))
    refused = _refused(base)
    refused |= {_short(name) for name in layers if _is_of_its_own(base.get_submodule(name))}
    left = sorted({_short(name) for name in layers if _short(name) in refused})
    able = {name: parent for name, parent in layers.items() if _short(name) not in refused}
    inner = {name: parent for name, parent in able.items() if name != _head(base)}
    if wanted == ALL:
        return [ALL] if not left else sorted({_short(name) for name in inner}), left
    if wanted == AUTO:
        projections = _of_attention(inner)
        if not projections:
            raise ConfigError(
                "lora.target_modules: no attention projection was found in the base",
                fix=f"choose from: {_listed(able)}; or {ALL}",
            )
        return projections, left
    missing = [target for target in wanted if not any(_is(name, target) for name in able)]
    if missing:
        known = [target for target in missing if any(_is(name, target) for name in layers)]
        why = "cannot adapt" if known == missing else "has no"
        raise ConfigError(
            f"lora.target_modules: the base model {why} {', '.join(missing)}"
            if why == "has no"
            else f"lora.target_modules: {', '.join(missing)} of this base cannot be adapted: a "
            "fused kernel reads the weights and never calls the layer",
            fix=f"choose from: {_listed(able)}; or {ALL}",
        )
    return list(wanted), []


def _layers(base: PreTrainedModel, beside: str | None) -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, parent) of each linear layer that text passes."""
    modules = dict(base.named_modules())
    for name, module in modules.items():
        if not isinstance(module, LINEAR):
            continue
        if beside and re.fullmatch(beside, name):
            continue
        yield name, modules[name.rpartition(".")[0]]


def _head(base: PreTrainedModel) -> str:
    """Return the name of the layer that gives logits, which only its name adapts."""
    head = base.get_output_embeddings()
    return next((name for name, module in base.named_modules() if module is head), "")


def _of_attention(layers: dict[str, nn.Module]) -> list[str]:
    """Return the names of the projections of attention, the usual ones first."""
    inside = {name for name, parent in layers.items() if _MIXES.search(_path(name, parent))}
    outside = {_short(name) for name in layers.keys() - inside}
    projections = {_short(name) for name in inside}
    # A name that other layers have as well is told apart by its parent's; where the usual four
    # are there, it is that of a gate, and left alone.
    shared = projections & outside
    if not projections.issuperset(_USUAL):
        named = {".".join(name.split(".")[-2:]) for name in inside if _short(name) in shared}
        projections |= named
    projections -= shared
    usual = [name for name in _USUAL if name in projections]
    return [*usual, *sorted(projections - set(usual))]


def _path(name: str, parent: nn.Module) -> str:
    """Return what tells where a layer is: its parent's class and the names that lead there."""
    return f"{type(parent).__name__} {name.rpartition('.')[0].rpartition('layers')[2]}"


def _refused(base: PreTrainedModel) -> frozenset[str] | set[str]:
    is_mamba = getattr(base.config, "model_type", None) in _MAMBA
    return _FUSED | _NOT_IN_MAMBA if is_mamba else _FUSED


def _is_of_its_own(layer: nn.Module) -> bool:
    """Tell whether a family has made a linear layer return something else, as routers do."""
    made = type(layer)
    return made.__module__.startswith("transformers.models.") and made.__name__ not in _PLAIN


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _is(name: str, target: str) -> bool:
    """Tell whether PEFT takes a module for a target."""
    return name == target or name.endswith(f".{target}")


def _listed(layers: dict[str, nn.Module]) -> str:
    return ", ".join(sorted({_short(name) for name in layers}))
