"""An adapter found again: loaded as it was trained, but for what is set now."""

from collections.abc import Callable
from pathlib import Path

from medlora.plan.resolve_run import Plan
from medlora.runs.load_adapter import Adapter, trained_config

Make = Callable[..., Plan]


def test_an_adapter_is_loaded_in_the_precision_that_it_was_trained_in(tough_plan: Make) -> None:
    """Its manifest says which; a key that is set now goes first, and no other key is taken."""
    stated = {
        "training.bf16": False,
        "training.fp16": False,
        "training.seed": 7,
        "data.reasoning": "drop",
    }
    manifest = {"config": {key: {"value": value} for key, value in stated.items()}}
    adapter = Adapter(Path("final"), manifest)
    cfg = trained_config(adapter, tough_plan("a", "training.fp16=true"))
    assert (cfg.training.bf16, cfg.training.fp16) == (False, True)
    assert cfg.data.reasoning == "drop"
    assert cfg.training.seed != 7
