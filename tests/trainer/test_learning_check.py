"""A run whose result is as good as none says so at its end, and wherever the result is told of."""

import json
from pathlib import Path

import pytest

from medlora import logs
from medlora.checkpoint.folder_format import read_manifest
from medlora.jobs import train
from medlora.trainer.learning_check import nothing_learnt


def metrics(*losses: float | None, base: float | None = 3.0) -> bytes:
    """The lines of a run with these held-out losses, a training step before each."""
    records = [{"kind": "eval", "step": 0, "eval_loss": base}]
    for number, loss in enumerate(losses, start=1):
        records += [{"kind": "train", "step": number, "loss": 1.0}]
        records += [{"kind": "eval", "step": number, "eval_loss": loss}]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.mark.parametrize(
    ("losses", "same"),
    [
        ((2.5, 2.4), False),
        ((2.5,), False),
        ((3.0,), True),
        ((3.0, 3.0), True),
        ((6.0402, 6.0402, 6.0402), True),  # another one than the base's, and it never moves
        ((2.5, 2.5, 2.49), False),
        ((2.5, 2.5 + 1e-9), True),
        ((2.5, 2.5 + 1e-4), False),
        ((), False),
    ],
)
def test_a_held_out_loss_that_never_moves_is_told(adapted, losses, same: bool) -> None:
    """From the first evaluation of the adapter on; what moved at all has learnt something."""
    said = nothing_learnt(adapted(), metrics(*losses))
    assert (said or "").startswith("the held-out loss is the same") == same
    assert (said is not None) == same


def test_an_adapter_that_never_beat_its_base_is_told(adapted) -> None:
    """One evaluation below it is enough to have learnt something."""
    said = "the held-out loss was never below the base's (3.2000, the base's 3.0000)"
    assert nothing_learnt(adapted(), metrics(3.5, 3.2, 3.7)) == said
    assert nothing_learnt(adapted(), metrics(3.5, 2.9, 3.7)) is None
    assert nothing_learnt(adapted(), metrics(3.5, 3.2, 3.7, base=None)) is None


def test_an_adapter_that_never_moved_is_told_without_an_evaluation(adapted) -> None:
    """B begins as zeros."""
    assert nothing_learnt(adapted(0), b"").startswith("no weight of the adapter has moved")
    assert nothing_learnt(adapted(), b"") is None


def test_a_loss_that_is_no_number_is_told(adapted) -> None:
    """metrics.jsonl has null there."""
    assert nothing_learnt(adapted(), metrics(2.5, None)) == (
        "the held-out loss is no finite number at the end"
    )
    assert nothing_learnt(adapted(), metrics(None, 2.5)) is None


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["medlora", "huggingface"])
def test_a_run_that_learnt_nothing_ends_with_0_and_says_so(
    tough_plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    """A warning, the summary, the manifest, the card, the page."""
    logs.set_up()
    still = ("training.learning_rate=1e-30", "training.max_steps=4", "training.min_lr_rate=0")
    train.run(tough_plan("still", *still, f"training.engine={engine}"))
    captured = capsys.readouterr()
    assert "warning: this run has learnt nothing: the held-out loss is the same" in captured.err
    assert "NOTHING LEARNT: the held-out loss is the same" in captured.out
    final = tmp_path / "out/still/final"
    assert read_manifest(final)["result"]["nothing_learnt"].startswith("the held-out loss")
    assert "Nothing was learnt: the held-out loss" in (final / "README.md").read_text()
    assert "Nothing was learnt: the held-out loss" in (final.parent / "report.html").read_text()


@pytest.mark.slow
def test_a_scale_that_drowns_the_base_is_told(tough_plan, tmp_path: Path) -> None:
    """lora_alpha of ten million."""
    train.run(tough_plan("loud", "lora.lora_alpha=10000000"))
    result = read_manifest(tmp_path / "out/loud/final")["result"]
    assert result["nothing_learnt"].startswith("the held-out loss was never below the base's")
