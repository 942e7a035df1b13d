"""The fingerprint sees mathematics, and nothing else; differences are named one by one."""

import pytest

from medlora.config import load
from medlora.config.sourced_value import from_options
from medlora.report.fingerprint import differences, fingerprint

DATA, BASE = {"train": "a" * 64}, {"model.safetensors": "b" * 64}


def print_of(*overrides: str, data=DATA, base=BASE):
    """The fingerprint of a run with these overrides."""
    return fingerprint(load(from_options(overrides)), data=data, base=base)


def test_places_and_intervals_do_not_count() -> None:
    """Where a run writes and how often it looks changes nothing in the adapter."""
    moved = print_of("training.output_dir=/x", "training.save_steps=7", "run_name=y", "data.path=z")
    assert differences(print_of(), moved) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("lora.r=8", "lora.r: 32 then, 8 now"),
        ("training.seed=1", "training.seed: 42 then, 1 now"),
        ("training.learning_rate=2e-4", "training.learning_rate: 0.0001 then, 0.0002 now"),
        ("training.bf16=true", "training.bf16: nothing then, True now"),
        ("training.eval_steps=7", "training.eval_steps: 200 then, 7 now"),
    ],
)
def test_what_counts_is_named_with_both_values(change: str, line: str) -> None:
    """One line a field."""
    assert differences(print_of(), print_of(change)) == [line]


def test_data_and_base_are_compared_by_digest() -> None:
    """A changed, added or missing file is named; its digest is shortened."""
    other = print_of(data={"train": "c" * 64, "eval": "d" * 64}, base={})
    assert differences(print_of(), other) == [
        "base.model.safetensors: SHA-256 bbbbbbbbbbbb... then, nothing now",
        "data.eval: nothing then, SHA-256 dddddddddddd... now",
        "data.train: SHA-256 aaaaaaaaaaaa... then, SHA-256 cccccccccccc... now",
    ]


def test_named_differences_can_be_allowed() -> None:
    """A key, or data or base with all below; nothing else slips through."""
    other = print_of("lora.r=8", data={"train": "c" * 64})
    assert differences(print_of(), other, ignore=("data", "lora.r")) == []
    assert differences(print_of(), other, ignore=("data",)) == ["lora.r: 32 then, 8 now"]
    assert differences(print_of(), print_of("lora.r=8"), ignore=("lora.r2", "lor")) != []
