"""What a run knows of itself and a repetition would know too: the source of its cards' numbers.

A manifest also has clocks, folders and a person's way of setting a key; `facts.json` is the rest
of it.  So the same inputs give the same facts, and cards that cite them by digest the same bytes.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from medlora.files import json_bytes
from medlora.model.names import WEIGHTS

FACTS = "facts.json"
SCHEMA = 1
REPRODUCED = ".reproduced"  # what `medlora reproduce` adds to the name of a run
_CLOCKS_AND_PLACES = (
    "kind",
    "schema",
    "run_name",
    "started",
    "finished",
    "config",
    "asked",
    "image",
    "job",  # of a batch service, and which attempt
    "files",
    "sha256",
    "statements",
)
_CLOCKS = ("wall_s", "checkpoint_wait_s", "memory_peak_bytes")  # what a machine says
_NAMES_OF_PLACES = ("cache",)  # its key also has how a person named the columns
_HARDWARE = ("machine", "cpu", "device", "gpu", "gpu_capability")


def facts_of(manifest: Mapping[str, Any], *, adapter: str) -> dict[str, Any]:
    """Return the facts of a finished run, as JSON values.

    Args:
        manifest: of the run.
        adapter: SHA-256 of its weights.
    """
    kept = {name: value for name, value in manifest.items() if name not in _CLOCKS_AND_PLACES}
    base = dict(kept.get("base_model", {}))
    base["name"] = PurePath(base.pop("folder", "")).name
    facts = {
        **kept,
        "base_model": base,
        "adapter": {"sha256": adapter, **kept.get("adapter", {})},
        "tokens": _without(kept.get("tokens", {}), _NAMES_OF_PLACES),
        "inputs": _settings(kept.get("inputs", {})),
        "hardware": _only(kept.get("hardware", {}), _HARDWARE),
        "result": _without(kept.get("result", {}), _CLOCKS),
    }
    return {
        "schema": SCHEMA,
        "kind": "facts",
        "name": str(manifest["run_name"]).removesuffix(REPRODUCED),
        **facts,
        "flops": flops(facts),
    }


def facts_bytes(manifest: Mapping[str, Any], digests: Mapping[str, str]) -> bytes:
    """Return the content of facts.json.

    Args:
        manifest: of the run.
        digests: {file name: SHA-256} of what lies in its folder.
    """
    return json_bytes(facts_of(manifest, adapter=digests[WEIGHTS]))


def flops(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arithmetic of a run by the usual rule, None where its parts are not known.

    A token costs 2 operations for each weight forward, 2 for the gradient of its inputs, and 2
    for the gradient of the weight itself, which frozen weights do without.
    Source: Kaplan et al., Scaling Laws for Neural Language Models (2020), section 2.1.
    """
    tokens = facts.get("result", {}).get("tokens")
    frozen = facts.get("base_model", {}).get("parameters")
    trained = facts.get("adapter", {}).get("trainable_parameters")
    if tokens is None or frozen is None or trained is None:
        return None
    return {
        "rule": "(4 x frozen + 6 x trained parameters) x tokens, without recomputation",
        "training": (4 * frozen + 6 * trained) * tokens,
    }


def _settings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    digests = {name for name in inputs if name.startswith("base.")} | {
        name for name in ("data.train", "data.eval") if name in inputs
    }
    return {name: value for name, value in inputs.items() if name not in digests}


def _only(facts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}


def _without(facts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in names}
