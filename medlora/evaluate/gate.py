"""Whether figures clear thresholds: PASS, FAIL, or INCONCLUSIVE where the interval has both.

A rule passes only where the whole 95 % interval is on the right side, and fails only where all of
it is on the wrong one.  So few prompts decide nothing: 3 of 3 are consistent with a rate of 0.44.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from medlora.config import GateConfig
from medlora.errors import ConfigError
from medlora.evaluate.kinds.registry import MEASURES, kind_of
from medlora.evaluate.schema import (
    GateResult,
    GateRule,
    JudgedFigures,
    JudgedRate,
    RateChange,
    Rates,
    SuiteSummary,
    Unscored,
    Verdict,
    rates_of,
)
from medlora.evaluate.suite import Suite


def check_gate(cfg: GateConfig, suites: Sequence[Suite]) -> None:
    """Refuse a gate that could never be passed, before hours are spent on what it would judge.

    Raises:
        ConfigError: no prompt of the suites is what a rule is about.
    """
    unasked = [
        f"gate.{rule}"
        for rule in cfg.rules
        if rule != "max_drop" and not any(_asks(suite, _measure(rule)) for suite in suites)
    ]
    if unasked:
        raise ConfigError(
            f"no row of gate.suites is measured by {', '.join(unasked)}",
            fix="add a suite with such rows, or remove the threshold",
        )


def apply_gate(cfg: GateConfig, summaries: Mapping[str, SuiteSummary]) -> GateResult:
    """Return the verdict, and a rule for each threshold and suite that it is about.

    Args:
        cfg: the thresholds.
        summaries: {suite: what `summarise` returned}; the adapter is judged, or the base where
            there is none, and the base's own verdict stands beside the adapter's.
    """
    rules = [
        rule
        for name, threshold in cfg.rules.items()
        for suite, summary in summaries.items()
        for rule in (
            _drop_rules(threshold, suite, summary)
            if name == "max_drop"
            else _rate_rules(name, threshold, suite, summary)
        )
    ]
    return {"verdict": _overall([rule["verdict"] for rule in rules]), "rules": rules}


def decide(low: float, high: float, *, at_least: float | None, at_most: float | None) -> Verdict:
    """Return where an interval lies: on the right side, on the wrong one, or on both.

    Args:
        low: the interval's lower bound.
        high: its upper bound.
        at_least: the threshold of a rate that should be high.
        at_most: of one that should be low.
    """
    if at_least is not None:
        low, high, at_most = -high, -low, -at_least
    if at_most is None or high <= at_most:
        return "PASS"
    return "FAIL" if low > at_most else "INCONCLUSIVE"


def _rate_rules(
    name: str, threshold: float, suite: str, summary: SuiteSummary
) -> Iterator[GateRule]:
    base = _judged(name, threshold, rates_of(summary.get("base")))
    adapter = _judged(name, threshold, rates_of(summary.get("adapter")))
    figures: JudgedFigures = {}
    if base:
        figures["base"] = base
    if adapter:
        figures["adapter"] = adapter
    # A suite without a single row that the rule is about has nothing to say on it.
    if figures:
        subject = adapter if "adapter" in summary else base
        yield {
            "rule": name,
            "suite": suite,
            "measure": _measure(name),
            "threshold": threshold,
            **figures,
            "verdict": subject["verdict"] if subject else "INCONCLUSIVE",
        }


def _judged(name: str, threshold: float, rates: Rates | None) -> JudgedRate | Unscored | None:
    """Return a model's figure and verdict, None where the suite does not ask for it."""
    if rates is None:
        return None
    if "not_scored" in rates and not MEASURES[_measure(name)].always:
        return {"not_scored": rates["not_scored"], "verdict": "INCONCLUSIVE"}
    rate = rates["rates"].get(_measure(name))
    if not rate or not rate["n"]:
        return None
    side: dict[str, float | None] = {"at_least": None, "at_most": None}
    side["at_least" if name.startswith("min_") else "at_most"] = threshold
    return {**rate, "verdict": decide(rate["low"], rate["high"], **side)}


def _drop_rules(margin: float, suite: str, summary: SuiteSummary) -> Iterator[GateRule]:
    if "change" not in summary:
        return
    both = map(rates_of, (summary.get("base"), summary.get("adapter")))
    unscored = next((rates["not_scored"] for rates in both if rates and "not_scored" in rates), "")
    if unscored:
        yield {
            "rule": "max_drop",
            "suite": suite,
            "measure": "all",
            "threshold": margin,
            "not_scored": unscored,
            "verdict": "INCONCLUSIVE",
        }
    for name, measure in MEASURES.items():
        change = cast("RateChange | None", summary["change"].get(name))
        if measure.better is None or not change or not change["n"]:
            continue
        worse = (change["low"], change["high"])
        if measure.better == "high":
            worse = (-change["high"], -change["low"])
        yield {
            "rule": "max_drop",
            "suite": suite,
            "measure": name,
            "threshold": margin,
            "change": change,
            "verdict": decide(*worse, at_least=None, at_most=margin),
        }


def _measure(rule: str) -> str:
    return rule.removeprefix("min_").removeprefix("max_")


def _asks(suite: Suite, name: str) -> bool:
    measure = next((measure for measure in kind_of(suite).measures if measure.name == name), None)
    if measure is None:
        return False
    return measure.expect is None or any(item.expect == measure.expect for item in suite.items)


def _overall(verdicts: Sequence[Verdict]) -> Verdict:
    if "FAIL" in verdicts:
        return "FAIL"
    return "PASS" if verdicts and set(verdicts) == {"PASS"} else "INCONCLUSIVE"
