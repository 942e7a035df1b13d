"""Keys that contradict each other, the machine or what is installed: told at once, by name."""

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from medlora.config import Machine, RunConfig, Setting, conflicts, load, refuse_conflicts
from medlora.config.conflicts import CONFLICTS, MISSING, Rule
from medlora.errors import ConfigError, MissingPartError

DP = {"privacy.dp.target_epsilon": 3}
HF = {"training.engine": "huggingface"}
SHARDED = {"training.sharding": "full"}
ANY, CPU, GPU = Machine(), Machine("cpu"), Machine("cuda")
TWO = Machine(workers=2)
# For each rule, in the table's order, a config that breaks it and no other.
BROKEN: list[tuple[dict[str, Any], Machine]] = [
    ({**DP, "training.packing": True}, ANY),
    ({**DP, "training.gradient_checkpointing": True}, ANY),
    ({**DP, "training.torch_compile": True}, ANY),
    ({**DP, "training.fp16": True}, ANY),
    ({**DP, "training.convergence_window": 5}, ANY),
    ({**DP, **HF}, ANY),
    ({**DP, "lora.use_dora": True}, ANY),
    ({**HF, "lora.loraplus_lr_ratio": 4}, ANY),
    ({**HF, "training.early_stopping_patience": 2}, ANY),
    ({**HF, "training.convergence_window": 5}, ANY),
    ({**HF, "training.lr_scheduler_type": "linear", "training.min_lr_rate": 0.1}, ANY),
    ({**SHARDED, "model.load_in_4bit": True}, TWO),
    ({**SHARDED, "training.torch_compile": True}, TWO),
    ({**SHARDED, "training.fp16": True}, TWO),
    (DP, TWO),
    (HF, TWO),
    ({"training.fp16": True}, CPU),
    ({"training.bf16": True}, Machine("cuda", bf16=False)),
]
LACKING: list[tuple[dict[str, Any], Machine]] = [
    ({"model.load_in_4bit": True}, ANY),
    (DP, ANY),
    ({"training.use_liger_kernel": True}, ANY),
    ({"training.use_liger_kernel": True}, CPU),
    ({"training.torch_compile": True}, CPU),
    ({"training.use_liger_kernel": True}, GPU),
    ({"training.report_to": ["wandb"]}, ANY),
]


def config_of(values: dict[str, Any]) -> RunConfig:
    """The defaults but for some keys."""
    return load(
        Setting(tuple(key.split(".")), value, "test") for key, value in values.items()
    ).config


def broken(rules: Any, values: dict[str, Any], machine: Machine) -> list[Rule]:
    """Which rules a config breaks."""
    return [rule for rule in rules if rule.applies(config_of(values), machine)]


@pytest.mark.parametrize("number", range(len(CONFLICTS)))
def test_each_rule_is_broken_by_its_own_example(number: int) -> None:
    """78, with the keys that the rule is about; there is an example for each."""
    values, machine = BROKEN[number]
    assert broken(CONFLICTS, values, machine) == [CONFLICTS[number]]
    with pytest.raises(ConfigError) as error:
        refuse_conflicts(config_of(values), machine)
    assert all(key in str(error.value) for key in CONFLICTS[number].keys)


@pytest.mark.parametrize("number", range(len(MISSING)))
def test_what_is_not_installed_is_named(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """69; where all is installed, a compiler and Python's headers too, none of them says a word."""
    values, machine = LACKING[number]
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(conflicts, "find_spec", lambda _: None)
    assert MISSING[number] in broken(MISSING, values, machine)
    with pytest.raises(MissingPartError, match=MISSING[number].keys[0]):
        refuse_conflicts(config_of(values), machine)
    monkeypatch.setattr(conflicts, "find_spec", lambda _: object())
    (tmp_path / "Python.h").touch()
    assert broken(MISSING, values, GPU) == []


def test_defaults_contradict_nothing() -> None:
    """On no machine."""
    for machine in (ANY, CPU, GPU, TWO, Machine("cuda", bf16=False, workers=8)):
        refuse_conflicts(RunConfig(), machine)


def test_all_conflicts_come_in_one_message_with_their_origins() -> None:
    """A value of a file or an option says where it is; a default has no place."""
    cfg = config_of({**DP, **HF, "training.packing": True})
    origins = {"training.packing": "option --set", "privacy.dp.target_epsilon": "c.yaml:3"}
    with pytest.raises(ConfigError) as error:
        refuse_conflicts(cfg, ANY, origins=origins)
    text = str(error.value)
    assert "2 problems" in text
    assert (
        "training.packing is true (option --set) and privacy.dp.target_epsilon is 3.0 (c.yaml:3)"
        in text
    )
    assert "training.engine is huggingface and privacy" in text
