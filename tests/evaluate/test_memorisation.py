"""Exposure is a rank in bits; a row counts as extracted when all of its match is continued."""

import numpy as np
import pytest

from medlora.data.token_rows import Row
from medlora.evaluate.memorisation import by_copies, ending_of, exposure, extraction
from medlora.evaluate.row_ending_scores import Ending, Score


def scores(*nats: float) -> list[Score]:
    """Scores of these nats."""
    return [Score(value, 0) for value in nats]


def test_exposure_runs_from_nothing_to_the_bits_of_the_decoys() -> None:
    """The most likely of 1,001 has 9.97 bits, the least likely none, a tie does not hide."""
    decoys = scores(*range(1, 1001))
    assert exposure(Score(0.5, 0), decoys) == (1, pytest.approx(9.967, abs=1e-3))
    assert exposure(Score(2000, 0), decoys) == (1001, pytest.approx(0, abs=1e-9))
    assert exposure(Score(1.0, 0), decoys).rank == 1
    assert exposure(Score(500.5, 0), decoys) == (501, pytest.approx(1, abs=0.01))


def test_an_unseen_canary_has_one_and_a_half_bits_on_average() -> None:
    """What the table calls the value of unseen ones."""
    random = np.random.RandomState(0)
    bits = [
        exposure(Score(random.random_sample(), 0), scores(*random.random_sample(1000))).bits
        for _ in range(1000)
    ]
    assert np.mean(bits) == pytest.approx(1 / np.log(2), abs=0.15)
    assert np.mean(np.array(bits) > 3) == pytest.approx(1 / 8, abs=0.03)


def test_canaries_are_grouped_by_copies() -> None:
    """Mean, least and largest of each group, for both models."""
    reports = [
        {"copies": copies, "exposure": {"base": base, "adapter": adapter}}
        for copies, base, adapter in [(1, 1.0, 9.0), (0, 2.0, 1.0), (1, 2.0, 8.0)]
    ]
    control, once = by_copies(reports)
    assert (control["copies"], control["canaries"]) == (0, 1)
    assert once["base"] == {"mean": 1.5, "min": 1.0, "max": 2.0}
    assert once["adapter"] == {"mean": 8.5, "min": 8.0, "max": 9.0}


def row(learn: list[int]) -> Row:
    """A row of tokens 0, 1, 2... with this mask."""
    return Row(np.arange(len(learn), dtype=np.int32), np.array(learn, dtype=bool))


@pytest.mark.parametrize(
    ("learn", "expected"),
    [
        ([0, 0, 1, 1, 1, 1], Ending([0, 1, 2, 3, 4], 3)),
        ([1, 1, 1, 1, 1, 1], Ending([0, 1, 2, 3], 2)),
        ([0, 0, 0, 0, 1, 1], None),  # two tokens of an answer, three are needed
        ([0, 1, 1, 0, 1, 1], None),  # a turn of the user's in between
        ([0, 0, 0], None),
    ],
)
def test_an_ending_is_within_the_first_answer(learn: list[int], expected: Ending | None) -> None:
    """One token is given, two are to be continued."""
    assert ending_of(row(learn), prefix=1, match=2) == expected


def test_rates_have_counts_and_intervals() -> None:
    """Counts with Wilson's interval; and nothing is claimed of no row."""
    base = [Score(0, greedy) for greedy in (0, 1, 3, 0)]
    adapter = [Score(0, greedy) for greedy in (3, 3, 2, 0)]
    found = extraction(base, adapter, match=3)
    assert (found["base"]["extracted"], found["adapter"]["extracted"]) == (1, 2)
    assert (found["adapter_only"], found["base_only"]) == (2, 1)
    assert found["adapter"]["wilson95"] == pytest.approx([0.150, 0.850], abs=1e-3)
    assert found["adapter"]["match_tokens"] == {"mean": 2.0, "median": 2.5, "max": 3}
    none = extraction([], [], match=3)
    assert none["adapter"]["rate"] is None
    assert none["adapter"]["wilson95"] == [0.0, 1.0]
