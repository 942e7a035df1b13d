"""The training benchmark counts what it says and divides the right way round."""

import json
from pathlib import Path

import pytest

from benchmarks.training import report, shapes, show
from benchmarks.training.contestants import ALL, FLOOR, REFERENCE
from benchmarks.training.report import Outcome, Step

FACTS = {"mean_square": 100.0, "mean_length": 10.0}


def _options(tmp_path: Path, **changed: object) -> dict[str, object]:
    chosen = {"shape": "tiny", "vocab": None, "device": "cpu", "tokens": 2048, "data": None}
    rest = {"only": None, "ablation": False, "results": str(tmp_path), "work": None}
    return chosen | rest | changed


def _steps(speeds: list[float], *, seconds: float = 2.0) -> list[Step]:
    return [
        Step(n, int(speed * seconds), 1, seconds, seconds, 9.0) for n, speed in enumerate(speeds)
    ]


def _outcome(speeds: list[float], **changed: object) -> Outcome:
    one = Outcome("note", [4.0], _steps(speeds), loaded_bytes=10, peak_bytes=100, held_out=9.0)
    for name, value in changed.items():
        setattr(one, name, value)
    return one


def test_counted_operations_are_those_that_torch_does() -> None:
    """The formula gives what torch's own counter sees in matrix products, to the last one."""
    import peft
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.flop_counter import FlopCounterMode

    shape, tokens = shapes.SHAPES["tiny"], 12
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=shapes.RANK, target_modules=shapes.TARGETS)
    model = peft.get_peft_model(shapes.build(shape, device="cpu", dtype="float32"), config)
    ids, places = torch.arange(tokens)[None], torch.tensor([3, 5, 8])
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=ids, logits_to_keep=places, use_cache=False).logits[0]
        cross_entropy(logits, ids[0, places + 1]).backward()
    products = (torch.ops.aten.mm, torch.ops.aten.addmm)
    seen = counter.get_flop_counts()["Global"]
    counted = shapes.flops(shape, tokens=tokens, targets=len(places), squares=0)
    assert sum(seen.get(product, 0) for product in products) == counted


def test_a_ratio_is_of_sums_over_common_rounds() -> None:
    """A slow round weighs by its time; a round that one of the two missed does not count."""
    found = report.ratio(_steps([300, 100, 999])[:2], _steps([100, 100]), "wall_s")
    assert found is not None
    assert found["ratio"] == pytest.approx(2.0)
    assert found["low"] <= 2.0 <= found["high"]
    assert found["rounds"] == 2
    assert report.ratio([], _steps([100]), "wall_s") is None


def test_the_last_line_compares_with_the_best_and_says_what_is_missing(tmp_path: Path) -> None:
    """Ours over the best of each kind; a contestant that failed is named with its reason."""
    outcomes = {
        REFERENCE: _outcome([100, 100], held_out=9.5, first_step_s=[8.0]),
        FLOOR: _outcome([1e9, 1e9]),
        "ours": _outcome([240, 240]),
        "hf_nogc": _outcome([130, 130], peak_bytes=200),
        "hf_batch1": _outcome([160, 160]),
        "litgpt_1": _outcome([200, 200]),
        "trl": _outcome([], failed="ModuleNotFoundError: No module named 'trl'"),
        "ours_recomputed": _outcome([120, 120]),
    }
    summary = report.summarise(outcomes, FACTS, _options(tmp_path))
    result = summary["result"]
    assert result["vs_hf_seed"] == pytest.approx(2.4)
    assert result["vs_hf_best"] == pytest.approx(1.5)
    assert result["vs_best_peer"] == pytest.approx(1.2)
    assert result["peak_memory_vs_hf_nogc"] == pytest.approx(0.5)
    assert result["heldout_delta"] == pytest.approx(-0.5)
    assert result["first_step_s_ratio"] == pytest.approx(0.5)
    assert result["without"] == {"ours_recomputed": 0.5}
    assert result["not_measured"]["trl"].startswith("ModuleNotFoundError")
    assert "No module named 'trl'" in show.table(summary)
    written = json.loads(show.write(summary, _options(tmp_path)).read_text(encoding="utf-8"))
    assert written["result"] == result


def test_the_result_has_its_keys_without_ours(tmp_path: Path) -> None:
    """What could not be had is null, not left out."""
    outcomes = {REFERENCE: _outcome([100]), FLOOR: _outcome([1e9])}
    result = report.summarise(outcomes, FACTS, _options(tmp_path))["result"]
    names = ("vs_hf_seed", "vs_hf_best", "vs_best_peer", "peak_memory_vs_hf_nogc", "heldout_delta")
    assert [result[name] for name in (*names, "floor_share", "first_step_s_ratio")] == [None] * 7
    assert "ours" in result["not_measured"]


def test_every_contestant_has_a_loop() -> None:
    """A new row of the table cannot name a loop that does not exist."""
    from benchmarks.training.engines import ENGINES

    assert {one.kind for one in ALL.values()} == set(ENGINES)
