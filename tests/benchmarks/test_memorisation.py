"""The memorisation benchmark: notes of its own, and a verdict that follows the figures."""

from benchmarks import memorisation
from medlora.report.metrics_jsonl import PRIVATE


def test_notes_made_here_are_many_and_differ() -> None:
    """Without MTS-Dialog there is as much to learn from, the same in every run."""
    notes = list(memorisation.made_notes())
    assert len(set(notes)) == len(notes) >= 700
    assert notes == list(memorisation.made_notes())
    rows = [memorisation.row_of(note) for note in notes]
    assert all(len(row["prompt"].split()) == 6 and row["response"] for row in rows)


def test_the_verdict_names_what_does_not_show() -> None:
    """Exposure with and without noise, the control in both, and the budget."""

    def report(once: float, never: float, epsilon: float | None = None) -> dict:
        groups = {copies: {"adapter": {"mean": bits}} for copies, bits in ((0, never), (1, once))}
        return {"exposure": groups, PRIVATE: {"epsilon": epsilon}}

    good = {"lora": report(9.6, 1.2), "lora_dp": report(1.5, 1.7, 7.99)}
    assert all(memorisation.demands(good).values())
    for bad in (
        good | {"lora": report(7.9, 1.2)},
        good | {"lora": report(9.6, 3.1)},
        good | {"lora_dp": report(3.1, 1.7, 7.99)},
        good | {"lora_dp": report(1.5, 1.7, 8.01)},
    ):
        assert list(memorisation.demands(bad).values()).count(False) == 1
