"""Keys that contradict each other or the machine: one table, asked before anything is read.

`train`, `check`, `config` and the Python API ask it right after the config is resolved, so that
they say the same of it.
"""

import shutil
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medlora.config.schema import RunConfig
from medlora.errors import ConfigError, MissingPartError, listed

_COMPILERS = {"cpu": ("g++", "clang++"), "cuda": ("gcc", "cc", "clang")}  # inductor's, Triton's


@dataclass(frozen=True, slots=True)
class Machine:
    """What a config is held against.

    Attributes:
        device: `cpu` or `cuda`; None where nobody has looked, so that nothing is said of it.
        bf16: whether the device computes in bfloat16.
        workers: that share the run.
    """

    device: str | None = None
    bf16: bool = True
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """Keys that cannot go together.

    Attributes:
        keys: whose values stand in the error, the one to change first.
        applies: whether they contradict each other, or the machine.
        says: why, and what to do.
    """

    keys: tuple[str, ...]
    applies: Callable[[RunConfig, Machine], Any]
    says: str


_DP = "privacy.dp.target_epsilon"
_ENGINE = "training.engine"
_SHARDING = "training.sharding"


def _hugging(cfg: RunConfig) -> bool:
    return cfg.training.engine == "huggingface"


def _sharded(cfg: RunConfig, machine: Machine) -> bool:
    return cfg.training.sharding != "none" and machine.workers > 1


CONFLICTS: Sequence[Rule] = (
    Rule(
        ("training.packing", _DP),
        lambda c, _: c.is_private and c.training.packing,
        "a row must stand alone; leave packing unset",
    ),
    Rule(
        ("training.gradient_checkpointing", _DP),
        lambda c, _: c.is_private and c.training.gradient_checkpointing is True,
        "rows' gradients are taken in one pass; leave it auto, which is off here",
    ),
    Rule(
        ("training.torch_compile", _DP),
        lambda c, _: c.is_private and c.training.torch_compile,
        "what is compiled passes by the layers whose rows are told apart; set it false",
    ),
    Rule(
        ("training.fp16", _DP),
        lambda c, _: c.is_private and c.training.fp16,
        "its loss scaler skips steps by what they computed; leave it unset or set training.bf16",
    ),
    Rule(
        ("training.convergence_window", _DP),
        lambda c, _: c.is_private and c.training.convergence_window is not None,
        "it decides by the training loss, which no noise covers; leave it unset",
    ),
    Rule(
        (_ENGINE, _DP),
        lambda c, _: c.is_private and _hugging(c),
        "Trainer has no private steps; set the engine medlora",
    ),
    Rule(
        ("lora.use_dora", _DP),
        lambda c, _: c.is_private and c.lora.use_dora,
        "its magnitudes pass by the layers whose rows are told apart; set it false",
    ),
    Rule(
        ("lora.loraplus_lr_ratio", _ENGINE),
        lambda c, _: _hugging(c) and c.lora.loraplus_lr_ratio is not None,
        "Trainer does not know it; leave it unset, or use the engine medlora",
    ),
    Rule(
        ("training.early_stopping_patience", _ENGINE),
        lambda c, _: _hugging(c) and c.training.early_stopping_patience is not None,
        "Trainer does not know it; leave it unset, or use the engine medlora",
    ),
    Rule(
        ("training.convergence_window", _ENGINE),
        lambda c, _: _hugging(c) and c.training.convergence_window is not None,
        "Trainer does not know it; leave it unset, or use the engine medlora",
    ),
    Rule(
        ("training.min_lr_rate", "training.lr_scheduler_type", _ENGINE),
        lambda c, _: (
            _hugging(c) and c.training.lr_scheduler_type == "linear" and c.training.min_lr_rate > 0
        ),
        "Trainer's linear schedule ends at 0; set the rate to 0, or use the engine medlora",
    ),
    Rule(
        ("model.load_in_4bit", _SHARDING),
        lambda c, m: _sharded(c, m) and c.model.load_in_4bit,
        "weights that are sharded are not quantized here; change one of the two",
    ),
    Rule(
        ("training.torch_compile", _SHARDING),
        lambda c, m: _sharded(c, m) and c.training.torch_compile,
        "layers that are sharded are not compiled here; change one of the two",
    ),
    Rule(
        ("training.fp16", _SHARDING),
        lambda c, m: _sharded(c, m) and c.training.fp16,
        "what is sharded is not trained with a loss scaler here; change one of the two",
    ),
    Rule(
        (_DP,),
        lambda c, m: c.is_private and m.workers > 1,
        "a private run has one worker, and several are asked for; set MEDLORA_NPROC=1 and ask for "
        "one machine",
    ),
    Rule(
        (_ENGINE,),
        lambda c, m: _hugging(c) and m.workers > 1,
        "Trainer has one worker here, and several are asked for; set MEDLORA_NPROC=1 and ask for "
        "one machine, or use the engine medlora",
    ),
    Rule(
        ("training.fp16",),
        lambda c, m: c.training.fp16 and m.device == "cpu",
        "there is no GPU; leave it unset, or set training.bf16: true",
    ),
    Rule(
        ("training.bf16",),
        lambda c, m: c.training.bf16 and not m.bf16,
        "this device has no bfloat16; leave it unset, so that float16 is used with a loss scaler",
    ),
)


def _lacks(package: str) -> bool:
    return find_spec(package) is None


def _cannot_compile(device: str) -> bool:
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return not (headers.is_file() and any(map(shutil.which, _COMPILERS[device])))


MISSING: Sequence[Rule] = (
    Rule(
        ("model.load_in_4bit",),
        lambda c, _: c.model.load_in_4bit and _lacks("bitsandbytes"),
        "bitsandbytes is not installed; install medlora with its extra `qlora` (uv sync --extra "
        "qlora), use an image built with it, or leave it unset",
    ),
    Rule(
        (_DP,),
        lambda c, _: c.is_private and _lacks("opacus"),
        "Opacus is not installed, without which no privacy can be vouched for; use the image, or "
        "leave it unset",
    ),
    Rule(
        ("training.use_liger_kernel",),
        lambda c, _: c.training.use_liger_kernel and _lacks("liger_kernel"),
        "liger-kernel is not installed; install medlora with its extra `liger` (uv sync --extra "
        "liger), or leave it unset",
    ),
    Rule(
        ("training.use_liger_kernel",),
        lambda c, m: c.training.use_liger_kernel and m.device == "cpu",
        "its kernels need a GPU, and there is none; leave it unset",
    ),
    Rule(
        ("training.torch_compile",),
        lambda c, m: c.training.torch_compile and m.device and _cannot_compile(m.device),
        "its kernels cannot be made: no C compiler with Python's headers is here (the image has "
        "none, on purpose); leave it unset",
    ),
    Rule(
        ("training.use_liger_kernel",),
        lambda c, m: (
            c.training.use_liger_kernel and m.device == "cuda" and _cannot_compile(m.device)
        ),
        "its kernels cannot be made: no C compiler with Python's headers is here (the image has "
        "none, on purpose); leave it unset",
    ),
    Rule(
        ("training.report_to",),
        lambda c, _: "wandb" in c.training.report_to and _lacks("wandb"),
        "the package wandb is not installed; install it where you build, or take it out",
    ),
)


def refuse_conflicts(
    config: RunConfig, machine: Machine, *, origins: Mapping[str, str] | None = None
) -> None:
    """Refuse a config that contradicts itself or the machine, or lacks a package.

    Args:
        config: of the run.
        machine: where it would run.
        origins: where values came from, by key; defaults have none.

    Raises:
        ConfigError: keys contradict each other or the machine; names all of them.
        MissingPartError: what a key needs is not installed.
    """
    fix = "change what is named"
    problems = list(_broken(CONFLICTS, config, machine, origins or {}))
    if problems:
        raise ConfigError(_message(problems, "the config contradicts itself"), fix=fix)
    problems = list(_broken(MISSING, config, machine, origins or {}))
    if problems:
        raise MissingPartError(_message(problems, "the config needs more"), fix=fix)


def _message(problems: Sequence[str], what: str) -> str:
    return problems[0] if len(problems) == 1 else listed(problems, what=what)


def _broken(
    rules: Sequence[Rule], config: RunConfig, machine: Machine, origins: Mapping[str, str]
) -> Iterator[str]:
    for rule in rules:
        if rule.applies(config, machine):
            named = " and ".join(_shown(key, config, origins) for key in rule.keys)
            yield f"{named}: {rule.says}"


def _shown(key: str, config: RunConfig, origins: Mapping[str, str]) -> str:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    shown = str(value).lower() if isinstance(value, bool) else value
    return f"{key} is {shown}" + (f" ({origins[key]})" if key in origins else "")
