"""What an evaluation comes to, as its JSON: rates, changes, suites, and the gate's result.

Types alone, so that pages which only read an evaluation import neither torch nor NumPy for them.
"""

from typing import Literal, NotRequired, TypedDict, cast

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Rate(TypedDict):
    """k of n, with Wilson's 95 % interval; n is 0 where no item is asked for it."""

    k: int
    n: int
    rate: float | None
    low: float
    high: float


class RateChange(TypedDict):
    """A rate of the adapter minus the base's on the same items, with Newcombe's 95 % interval."""

    both: int
    base_only: int
    adapter_only: int
    neither: int
    n: int
    p: float  # of McNemar's exact test
    difference: float | None
    low: float
    high: float


class MeanChange(TypedDict):
    """The mean change of a number over n items, with its 95 % percentile interval, if any."""

    n: int
    difference: float | None
    low: float | None
    high: float | None


class Rates(TypedDict):
    """What a model's choices or answers come to, by measure."""

    not_scored: NotRequired[str]  # why most measures are left out
    rates: dict[str, Rate]
    compliant_by_category: NotRequired[dict[str, Rate]]


Figures = dict[str, float | None]  # numbers that stand by themselves, by their names
ModelSummary = Rates | Figures
Change = RateChange | MeanChange | Rate


class SuiteSummary(TypedDict):
    """What a suite comes to; what the models' parts and the change hold, its kind decides."""

    kind: str
    sha256: str
    rows: int
    asked: int
    base: NotRequired[ModelSummary]
    adapter: NotRequired[ModelSummary]
    change: NotRequired[dict[str, Change]]


def rates_of(summary: ModelSummary | None) -> Rates | None:
    """Return what one model comes to where its kind has rates, None for all others."""
    return cast("Rates", summary) if summary and "rates" in summary else None


class JudgedRate(Rate):
    """A model's rate, and on which side of a threshold its interval lies."""

    verdict: Verdict


class Unscored(TypedDict):
    """A model whose answers have collapsed, so that its rate means nothing."""

    not_scored: str
    verdict: Verdict


class JudgedFigures(TypedDict, total=False):
    """The figures that a rule of the gate is held against."""

    base: JudgedRate | Unscored
    adapter: JudgedRate | Unscored
    change: RateChange
    not_scored: str


class GateRule(JudgedFigures):
    """A threshold of the gate, held against one suite.

    Attributes:
        rule: its key in the config's `gate` section.
        suite: the name of the suite.
        measure: what is counted; `all` where a model's answers were not scored.
        threshold: as the config has it.
        base: the base's rate, where the rule is about rates.
        adapter: the adapter's.
        change: from base to adapter, where the rule is about that.
        not_scored: why the change means nothing.
        verdict: the adapter's, or the base's where there is no adapter.
    """

    rule: str
    suite: str
    measure: str
    threshold: float
    verdict: Verdict


class GateResult(TypedDict):
    """The gate's verdict with that of each rule; a manifest adds what was asked and who judged."""

    verdict: Verdict
    rules: list[GateRule]
    suites: NotRequired[dict[str, str]]  # name -> SHA-256
    checker: NotRequired[str | None]  # the checker's rule set, where one was asked
