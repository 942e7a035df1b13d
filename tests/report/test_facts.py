"""facts.json has what a repetition of the run would find too, and nothing else."""

import json
from typing import Any

from medlora.report.facts import facts_bytes, flops

DIGESTS = {"adapter_model.safetensors": "a" * 64}


def test_clocks_places_and_names_of_repetitions_change_nothing(manifest: dict[str, Any]) -> None:
    """Another day, folder, machine's memory, and the name that `reproduce` gives."""
    again = {
        **manifest,
        "run_name": "one.reproduced",
        "started": "2027",
        "finished": "2028",
        "asked": {"from": "/elsewhere"},
        "config": {},
        "statements": {"sha256": "1", "values": {}},
        "base_model": {**manifest["base_model"], "folder": "/elsewhere/tiny"},
        "hardware": {**manifest["hardware"], "memory_bytes": 1, "cpu_threads": 7},
        "result": {**manifest["result"], "wall_s": 1.0, "checkpoint_wait_s": 1.0},
        "tokens": {**manifest["tokens"], "cache": {"train": "f" * 64}},
    }
    assert facts_bytes(again, DIGESTS) == facts_bytes(manifest, DIGESTS)
    other = {**manifest, "result": {**manifest["result"], "eval_loss": 2.0}}
    assert facts_bytes(other, DIGESTS) != facts_bytes(manifest, DIGESTS)


def test_what_later_versions_state_is_kept(manifest: dict[str, Any]) -> None:
    """A section that nobody here knows is a fact all the same."""
    facts = json.loads(facts_bytes({**manifest, "differential_privacy": {"epsilon": 8}}, DIGESTS))
    assert facts["differential_privacy"] == {"epsilon": 8}
    assert facts["inputs"] == {
        "lora.r": 4,
        "lora.target_modules": ["q_proj", "v_proj"],
        "training.seed": 42,
        "data.max_length": 64,
    }


def test_operations_by_the_rule(manifest: dict[str, Any]) -> None:
    """Four a frozen weight and token, six a trained one; unknown where tokens are not counted."""
    counted = flops(manifest)
    assert counted is not None
    assert counted["training"] == (4 * 1000 + 6 * 50) * 700
    assert flops({**manifest, "result": {"tokens": None}}) is None
