"""What a run knows of itself and a repetition would know too: the source of its cards' numbers.

A manifest also has clocks, folders and a person's way of setting a key; `facts.json` is the rest
of it.  So the same inputs give the same facts, and cards that cite them by digest the same bytes.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import TypedDict

from medlora.files import json_bytes
from medlora.model.file_names import WEIGHTS
from medlora.report.manifest_schema import RunFacts

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


class Flops(TypedDict):
    """The floating-point operations of a run, and the rule that they were counted by."""

    rule: str
    training: int


def facts_of(manifest: RunFacts, *, adapter: str) -> dict[str, object]:
    """Return the facts of a finished run, as JSON values.

    Args:
        manifest: of the run.
        adapter: SHA-256 of its weights.
    """
    kept = {name: value for name, value in manifest.items() if name not in _CLOCKS_AND_PLACES}
    base = manifest.get("base_model", {})
    name = PurePath(base.get("folder", "")).name
    return {
        "schema": SCHEMA,
        "kind": "facts",
        "name": manifest["run_name"].removesuffix(REPRODUCED),
        **kept,
        "base_model": {**_without(base, ("folder",)), "name": name},
        "adapter": {"sha256": adapter, **manifest.get("adapter", {})},
        "tokens": _without(manifest.get("tokens", {}), _NAMES_OF_PLACES),
        "inputs": _settings(manifest.get("inputs", {})),
        "hardware": _only(manifest.get("hardware", {}), _HARDWARE),
        "result": _without(manifest.get("result", {}), _CLOCKS),
        "flops": flops(manifest),
    }


def facts_bytes(manifest: RunFacts, digests: Mapping[str, str]) -> bytes:
    """Return the content of facts.json.

    Args:
        manifest: of the run.
        digests: {file name: SHA-256} of what lies in its folder.
    """
    return json_bytes(facts_of(manifest, adapter=digests[WEIGHTS]))


def flops(manifest: RunFacts) -> Flops | None:
    """Return the arithmetic of a run by the usual rule, None where its parts are not known.

    A token costs 2 operations for each weight forward, 2 for the gradient of its inputs, and 2
    for the gradient of the weight itself, which frozen weights do without.
    Source: Kaplan et al., Scaling Laws for Neural Language Models (2020), section 2.1.
    """
    tokens = manifest.get("result", {}).get("tokens")
    frozen = manifest.get("base_model", {}).get("parameters")
    trained = manifest.get("adapter", {}).get("trainable_parameters")
    if tokens is None or frozen is None or trained is None:
        return None
    return {
        "rule": "(4 x frozen + 6 x trained parameters) x tokens, without recomputation",
        "training": (4 * frozen + 6 * trained) * tokens,
    }


def _settings(inputs: Mapping[str, object]) -> dict[str, object]:
    digests = {name for name in inputs if name.startswith("base.")} | {
        name for name in ("data.train", "data.eval") if name in inputs
    }
    return {name: value for name, value in inputs.items() if name not in digests}


def _only(facts: Mapping[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: facts[name] for name in names if name in facts}


def _without(facts: Mapping[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name, value in facts.items() if name not in names}
