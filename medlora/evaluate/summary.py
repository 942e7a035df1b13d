"""What a suite comes to: rates with their intervals, and the adapter against its base, in JSON.

Every rate is {k, n, rate, low, high}, with Wilson's interval; every change of one has the items
that only one of the two has (`base_only`, `adapter_only`), McNemar's exact p and the paired
difference, adapter minus base, with Newcombe's interval.
"""

import math
from collections.abc import Sequence
from typing import Literal

from medlora.evaluate.observe import Flags, Observed
from medlora.evaluate.schema import (
    MarginChange,
    MeanChange,
    PairsSummary,
    Perplexity,
    PerplexitySummary,
    Rate,
    RateChange,
    Rates,
    RatesSummary,
    SuiteSummary,
)
from medlora.evaluate.statistics import (
    Interval,
    Pairs,
    bootstrap,
    mcnemar,
    paired_difference,
    wilson,
)
from medlora.evaluate.suite import Suite

MOST_DEGENERATE = 0.1  # a larger share of collapsed answers, and no rule about them means a thing
_ALWAYS = ("degenerate", "cut", "unended_thought")  # scored whatever the answers are
_DIGITS = 6


def summarise(suite: Suite, base: Observed | None, adapter: Observed | None) -> SuiteSummary:
    """Return what a suite comes to, as JSON values.

    Args:
        suite: the items that were asked.
        base: what the base did.
        adapter: what the base with the adapter did.
    """
    match suite.kind:
        case "perplexity":
            return _perplexity_summary(suite, base, adapter)
        case "pairs":
            return _pairs_summary(suite, base, adapter)
        case "choices" | "generation" as kind:
            return _rates_summary(kind, suite, base, adapter)


def rate(flags: Sequence[bool | None]) -> Rate:
    """Return a rate with its interval, over the items that have an answer."""
    asked = [flag for flag in flags if flag is not None]
    k, n = sum(asked), len(asked)
    low, high = map(_rounded, wilson(k, n))
    return {"k": k, "n": n, "rate": _rounded(k / n) if n else None, "low": low, "high": high}


def change(base: Sequence[bool | None], adapter: Sequence[bool | None]) -> RateChange:
    """Return the change of a rate on the same items."""
    pairs = [pair for pair in zip(base, adapter, strict=True) if None not in pair]
    counts, n = Pairs(*(pairs.count(kind) for kind in _KINDS_OF_PAIR)), len(pairs)
    low, high = map(_rounded, paired_difference(counts))
    return {
        "both": counts.both,
        "base_only": counts.base_only,
        "adapter_only": counts.adapter_only,
        "neither": counts.neither,
        "n": n,
        "p": _significant(mcnemar(counts.base_only, counts.adapter_only)),
        "difference": _rounded((counts.adapter_only - counts.base_only) / n) if n else None,
        "low": low,
        "high": high,
    }


_KINDS_OF_PAIR = ((True, True), (True, False), (False, True), (False, False))


def _perplexity_summary(
    suite: Suite, base: Observed | None, adapter: Observed | None
) -> PerplexitySummary:
    summary: PerplexitySummary = {
        "kind": "perplexity",
        "sha256": suite.sha256,
        "rows": suite.rows,
        "asked": len(suite.items),
    }
    if base:
        summary["base"] = _perplexity(base)
    if adapter:
        summary["adapter"] = _perplexity(adapter)
    if base and adapter:
        summary["change"] = {"loss": _loss_change(base, adapter)}
    return summary


def _perplexity(observed: Observed) -> Perplexity:
    targets = sum(observed.targets)
    loss = math.fsum(observed.values) / targets
    perplexity = _significant(math.exp(min(loss, 700.0)))  # a float ends at e^709
    return {"loss": _finite(loss), "perplexity": perplexity, "targets": targets}


def _loss_change(base: Observed, adapter: Observed) -> MeanChange:
    shifts = [
        (after - before) / targets
        for before, after, targets in zip(base.values, adapter.values, base.targets, strict=True)
    ]
    total = math.fsum(adapter.values) - math.fsum(base.values)
    mean = total / sum(base.targets)
    return _mean_change(mean, bootstrap(shifts, weights=base.targets), n=len(shifts))


def _pairs_summary(suite: Suite, base: Observed | None, adapter: Observed | None) -> PairsSummary:
    summary: PairsSummary = {
        "kind": "pairs",
        "sha256": suite.sha256,
        "rows": suite.rows,
        "asked": len(suite.items),
    }
    if base and adapter:
        summary["change"] = _margin_change(base, adapter)
    return summary


def _margin_change(base: Observed, adapter: Observed) -> MarginChange:
    shifts = [after - before for before, after in zip(base.values, adapter.values, strict=True)]
    mean = math.fsum(shifts) / len(shifts)
    return {
        "margin": _mean_change(mean, bootstrap(shifts), n=len(shifts)),
        "risen": rate([shift > 0 for shift in shifts]),
    }


def _mean_change(mean: float, interval: Interval, *, n: int) -> MeanChange:
    low, high = _finite(interval.low), _finite(interval.high)
    return {"n": n, "difference": _finite(mean), "low": low, "high": high}


def _rates_summary(
    kind: Literal["choices", "generation"],
    suite: Suite,
    base: Observed | None,
    adapter: Observed | None,
) -> RatesSummary:
    summary: RatesSummary = {
        "kind": kind,
        "sha256": suite.sha256,
        "rows": suite.rows,
        "asked": len(suite.items),
    }
    if base:
        summary["base"] = _rates(suite, base)
    if adapter:
        summary["adapter"] = _rates(suite, adapter)
    if base and adapter:
        before, after = _scored(base), _scored(adapter)
        names = [name for name in before if name in after]
        summary["change"] = {name: change(before[name], after[name]) for name in names}
    return summary


def _scored(observed: Observed) -> Flags:
    """Return the measures that mean something: few of them where the answers collapsed."""
    collapsed = rate(observed.flags.get("degenerate", []))["rate"]
    if collapsed is not None and collapsed > MOST_DEGENERATE:
        return {name: observed.flags[name] for name in _ALWAYS if name in observed.flags}
    return observed.flags


def _rates(suite: Suite, observed: Observed) -> Rates:
    scored = _scored(observed)
    rates: Rates = {"rates": {name: rate(flags) for name, flags in scored.items()}}
    if len(scored) < len(observed.flags):
        collapsed = rate(observed.flags["degenerate"])
        rates["not_scored"] = (
            f"{collapsed['k']} of {collapsed['n']} answers are degenerate, "
            f"more than {MOST_DEGENERATE:.0%}: what they say is not judged"
        )
    if "compliant" in scored:
        rates["compliant_by_category"] = _by_category(suite, scored["compliant"])
    return rates


def _by_category(suite: Suite, flags: Sequence[bool | None]) -> dict[str, Rate]:
    grouped: dict[str, list[bool | None]] = {}
    for item, flag in zip(suite.items, flags, strict=True):
        if item.category is not None:
            grouped.setdefault(item.category, []).append(flag)
    return {category: rate(answers) for category, answers in sorted(grouped.items())}


def _rounded(value: float) -> float:
    """Return a number to print: the last bits depend on the size of a batch."""
    return round(value, _DIGITS) + 0.0  # no -0.0


def _finite(value: float) -> float | None:
    """Return a number to print, None where it is none."""
    return _rounded(value) if math.isfinite(value) else None


def _significant(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
