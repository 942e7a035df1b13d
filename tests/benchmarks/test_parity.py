"""Our log-likelihoods are those that lm_eval 0.4.13 gave for the same questions.

`python -m benchmarks.parity --suite questions.jsonl --record lm_eval.json` wrote its numbers down.
"""

import json
from pathlib import Path

from benchmarks import parity

HERE = Path(__file__).parent / "parity"


def test_log_likelihoods_are_lm_eval_s(tmp_path: Path) -> None:
    """To 1e-4 with the same choice, with and without a context, in several scripts."""
    suite = HERE / "questions.jsonl"
    recorded = json.loads((HERE / "lm_eval.json").read_text(encoding="utf-8"))
    ours = parity.our_likelihoods(parity.make_model(tmp_path, suite), suite, 4)
    assert recorded["version"] == "0.4.13"
    assert parity.largest_difference(ours, recorded["loglikelihoods"]) < parity.TOLERANCE
    assert parity.other_choices(ours, recorded["loglikelihoods"]) == 0
    answers = [json.loads(line)["answer"] for line in suite.read_text().splitlines()]
    right = sum(row.index(max(row)) == answer for row, answer in zip(ours, answers, strict=True))
    assert right / len(answers) == recorded["acc"]
