"""What a suite comes to: rates with their intervals, and the adapter against its base, in JSON.

Every rate is {k, n, rate, low, high}, with Wilson's interval; every change of one has the items
that only one of the two has (`base_only`, `adapter_only`), McNemar's exact p and the paired
difference, adapter minus base, with Newcombe's interval.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medlora.evaluate.observe import Flags, Observed
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


def summarise(suite: Suite, base: Observed | None, adapter: Observed | None) -> dict[str, Any]:
    """Return what a suite comes to, as JSON values.

    Args:
        suite: the items that were asked.
        base: what the base did.
        adapter: what the base with the adapter did.
    """
    both = {"base": base, "adapter": adapter}
    facts: dict[str, Any] = {
        "kind": suite.kind,
        "sha256": suite.sha256,
        "rows": suite.rows,
        "asked": len(suite.items),
    }
    scored = {name: _scored(seen) for name, seen in both.items() if seen}
    for name, seen in both.items():
        if seen and suite.kind != "pairs":
            facts[name] = _one(suite, seen, scored[name])
    if base and adapter:
        facts["change"] = _change(suite, base, adapter, scored)
    return facts


def rate(flags: Sequence[bool | None]) -> dict[str, Any]:
    """Return a rate with its interval, over the items that have an answer."""
    asked = [flag for flag in flags if flag is not None]
    k, n = sum(asked), len(asked)
    share = {"rate": _rounded(k / n)} if n else {"rate": None}
    return {"k": k, "n": n, **share, **_bounds(wilson(k, n))}


def change(base: Sequence[bool | None], adapter: Sequence[bool | None]) -> dict[str, Any]:
    """Return the change of a rate on the same items."""
    pairs = [pair for pair in zip(base, adapter, strict=True) if None not in pair]
    counts = Pairs(*(pairs.count(kind) for kind in _KINDS_OF_PAIR))
    difference = (counts.adapter_only - counts.base_only) / len(pairs) if pairs else None
    return {
        **counts._asdict(),
        "n": len(pairs),
        "p": _significant(mcnemar(counts.base_only, counts.adapter_only)),
        "difference": _rounded(difference),
        **_bounds(paired_difference(counts)),
    }


_KINDS_OF_PAIR = ((True, True), (True, False), (False, True), (False, False))


def _scored(seen: Observed) -> Flags:
    """Return the measures that mean something: few of them where the answers collapsed."""
    collapsed = rate(seen.flags.get("degenerate", []))
    if collapsed["n"] and collapsed["rate"] > MOST_DEGENERATE:
        return {name: seen.flags[name] for name in _ALWAYS if name in seen.flags}
    return seen.flags


def _one(suite: Suite, seen: Observed, scored: Flags) -> dict[str, Any]:
    if suite.kind == "perplexity":
        targets = sum(seen.targets)
        loss = math.fsum(seen.values) / targets
        perplexity = _significant(math.exp(min(loss, 700.0)))  # a float ends at e^709
        return {"loss": _rounded(loss), "perplexity": perplexity, "targets": targets}
    facts: dict[str, Any] = {}
    if len(scored) < len(seen.flags):
        collapsed = rate(seen.flags["degenerate"])
        facts["not_scored"] = (
            f"{collapsed['k']} of {collapsed['n']} answers are degenerate, "
            f"more than {MOST_DEGENERATE:.0%}: what they say is not judged"
        )
    facts["rates"] = {name: rate(flags) for name, flags in scored.items()}
    if "compliant" in scored:
        facts["compliant_by_category"] = _by_category(suite, scored["compliant"])
    return facts


def _by_category(suite: Suite, flags: Sequence[bool | None]) -> dict[str, Any]:
    grouped: dict[str, list[bool | None]] = {}
    for item, flag in zip(suite.items, flags, strict=True):
        if item.category is not None:
            grouped.setdefault(item.category, []).append(flag)
    return {category: rate(found) for category, found in sorted(grouped.items())}


def _change(
    suite: Suite, base: Observed, adapter: Observed, scored: Mapping[str, Flags]
) -> dict[str, Any]:
    match suite.kind:
        case "perplexity":
            shifts = [
                (b - a) / n
                for a, b, n in zip(base.values, adapter.values, base.targets, strict=True)
            ]
            total = math.fsum(adapter.values) - math.fsum(base.values)
            mean = total / sum(base.targets)
            bounds = bootstrap(shifts, weights=base.targets)
            loss = {"n": len(shifts), "difference": _rounded(mean), **_bounds(bounds)}
            return {"loss": loss}
        case "pairs":
            shifts = [b - a for a, b in zip(base.values, adapter.values, strict=True)]
            mean = math.fsum(shifts) / len(shifts)
            risen = rate([shift > 0 for shift in shifts])
            margin = {"difference": _rounded(mean), **_bounds(bootstrap(shifts))}
            return {"margin": {"n": len(shifts), **margin}, "risen": risen}
        case _:
            names = [name for name in scored["base"] if name in scored["adapter"]]
            return {name: change(scored["base"][name], scored["adapter"][name]) for name in names}


def _bounds(interval: Interval) -> dict[str, float | None]:
    return {"low": _rounded(interval.low), "high": _rounded(interval.high)}


def _rounded(value: float | None) -> float | None:
    """Return a number to print: the last bits depend on the size of a batch."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, _DIGITS) + 0.0  # no -0.0


def _significant(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
