"""Whether a run has learnt anything at all: said at its end, for its result is as good as none."""

import math
from collections.abc import Sequence

from peft import PeftModel

from medlora.report.metrics_jsonl import read_lines

_SAME = 1e-6  # of a loss: what rounding may do to equal ones
_FEW = 2  # evaluations after the first step, below which equal ones may be chance


def nothing_learnt(model: PeftModel, metrics: bytes) -> str | None:
    """Return why a trained adapter is as good as none, None where it is not.

    Args:
        model: base and adapter, as trained.
        metrics: content of the run's metrics.jsonl.
    """
    if not _has_moved(model):
        return "no weight of the adapter has moved, so that it changes nothing"
    base, losses = _held_out(metrics)
    if not losses:
        return None
    if losses[-1] is None:
        return "the held-out loss is no finite number at the end"
    if _are_same([*base, *losses]) or (len(losses) >= _FEW and _are_same(losses)):
        return f"the held-out loss is the same at every evaluation ({losses[-1]:.4f} nats a token)"
    best = min(loss for loss in losses if loss is not None)
    if base and base[0] is not None and best >= base[0]:
        return (
            f"the held-out loss was never below the base's ({best:.4f}, the base's {base[0]:.4f})"
        )
    return None


def _has_moved(model: PeftModel) -> bool:
    """Tell whether anything was added to the base: B begins as zeros, and A alone does nothing."""
    last = ("lora_B", "lora_embedding_B", "lora_magnitude_vector")
    moved = [
        bool(parameter.detach().any())
        for name, parameter in model.named_parameters()
        if any(part in name for part in last)
    ]
    return any(moved) or not moved


def _held_out(metrics: bytes) -> tuple[list[float | None], list[float | None]]:
    """Return the base's held-out loss, if there is one, and those after it, in order of steps."""
    losses = {
        line.step: line.numbers["eval_loss"]
        for line in read_lines(metrics)
        if "eval_loss" in line.numbers
    }
    ordered = [(step, losses[step]) for step in sorted(losses)]
    return [loss for step, loss in ordered if not step], [loss for step, loss in ordered if step]


def _are_same(losses: Sequence[float | None]) -> bool:
    first = losses[0]
    return (
        len(losses) > 1
        and first is not None
        and all(loss is not None and math.isclose(loss, first, rel_tol=_SAME) for loss in losses)
    )
