"""On a public set whose duplicates are known, the audit counts exactly those."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = ROOT.parent / "shared/data/medquad.jsonl"


@pytest.mark.skipif(not FILE.is_file(), reason="the shared data is not there")
def test_duplicates_are_exact_and_the_split_leaks_none(tmp_path: Path) -> None:
    """1,428 questions and 596 answers; nothing on both sides, counted without our code."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / "benchmarks/audit.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    figures = benchmark.measure(FILE, ("question", "answer"), tmp_path)
    for found in figures["duplicates"].values():
        assert (found["questions"], found["answers"]) == (1428, 596)
    assert figures["leaks_by_hand"] == {"questions": 0, "answers": 0}
    assert figures["random_split_leaks_by_hand"]["questions"] > 100
    assert figures["split"]["held_out_rows"] >= figures["split"]["wanted_rows"] == 820
    assert figures["same_bytes_twice"]
