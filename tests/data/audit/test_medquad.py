"""On a public set whose duplicates are known, the audit counts exactly those.

`benchmarks/audit.py` does the whole of it, near duplicates and all.
"""

import json
from pathlib import Path

import pytest

from medlora.config import ColumnsConfig
from medlora.data.audit.duplicates import duplicates
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.formats.joined_files import Source
from medlora.data.split import hold_out
from medlora.files import sha256_file

FILE = Path(__file__).parents[4] / "shared/data/medquad.jsonl"


@pytest.mark.skipif(not FILE.is_file(), reason="the shared data is not there")
def test_duplicates_are_exact_and_the_split_leaks_none() -> None:
    """1,428 questions and 596 answers; no text of a held-out row on the other side."""
    columns = ColumnsConfig(prompt="question", response="answer")
    maker = FactMaker("auto", columns, None, Prompts())
    rows = read_facts(DataFile(Source.of(FILE), sha256_file(FILE)), maker).rows
    found = duplicates(rows, place=str)["exact"]
    assert (found["questions"], found["answers"]) == (1428, 596)
    keys = {name: rows[name] for name in ("question", "answer")}
    split = hold_out(keys, fraction=0.05, seed=1)
    assert len(split.held) >= 820
    texts = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    for name in ("question", "answer"):
        sides = [{texts[row][name] for row in side} for side in (split.train, split.held)]
        assert not sides[0] & sides[1]
