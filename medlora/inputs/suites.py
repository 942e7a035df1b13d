"""Which suites a command works with: those that it names, and those of the config's gate."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from medlora.config import GateConfig
from medlora.evaluate.gate import check_gate
from medlora.evaluate.kinds.registry import kind_of
from medlora.evaluate.suite import Suite
from medlora.evaluate.suite_files import read_suites, shipped_names


def choose_suites(
    cfg: GateConfig,
    named: Sequence[str] = (),
    *,
    limit: int | None = None,
    folder: Path = Path(),
) -> list[Suite]:
    """Return the suites that are named, and those of the gate.

    Args:
        cfg: the gate section.
        named: what the command line says.
        limit: how many items of each are asked at most.
        folder: where a relative file may also be, besides the working directory.

    Raises:
        DataError: rows cannot be used.
        MissingPartError: there is no such suite.
        ConfigError: the gate has a rule that no row is about.
    """
    values = list(dict.fromkeys([*named, *cfg.suites]))
    suites = [suite.first(limit) for suite in read_suites(values, folder=folder)]
    gated = gate_names(cfg)
    check_gate(cfg, [suite for suite in suites if suite.name in gated])
    return suites


def gate_names(cfg: GateConfig) -> list[str]:
    """Return the names of the gate's suites."""
    return [Path(value).stem for value in cfg.suites]


def verdict_inputs(cfg: GateConfig, suites: Sequence[Suite]) -> dict[str, Any]:
    """Return what decides a verdict beside the adapter, by name; nothing without a gate."""
    if not suites:
        return {}
    thresholds = {f"gate.{name}": value for name, value in cfg.rules.items()}
    files = {f"gate.suites.{suite.name}": suite.sha256 for suite in suites}
    return {**thresholds, "gate.max_new_tokens": cfg.max_new_tokens, **files}


def prompts_of(values: Iterable[str | Path], *, folder: Path = Path()) -> dict[str, list[str]]:
    """Return {suite: its prompts} of the suites that come with MedLoRA and of others.

    Args:
        values: names, or files.
        folder: where a relative file may also be, besides the working directory.

    Raises:
        DataError: rows cannot be used.
        MissingPartError: there is no such suite.
    """
    names = dict.fromkeys([*shipped_names(), *map(str, values)])
    suites = read_suites(list(names), folder=folder)
    return {
        suite.name: [
            text for item in suite.items for text in kind_of(suite).questions(item) if text.strip()
        ]
        for suite in suites
    }
