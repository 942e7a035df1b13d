"""Many answers in a few numbers: how many may stand, refuse, collapse; hits by rule."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from medlora.evaluate.safety.findings import DEGENERATE_OUTPUT
from medlora.evaluate.safety.rules.registry import RULES


def shares(checks: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return numbers over results of the checker, never a text; at least one result.

    Returns:
        compliant_rate, refused_rate, degenerate_rate, avg_safety_score; and for each rule that
        hit `findings/RULE`, how many answers it hit.
    """
    hits = Counter(
        rule
        for check in checks
        for rule in {finding["rule"] for finding in check.get("findings", ())}
    )
    count = len(checks)
    return {
        "compliant_rate": sum(bool(check["compliant"]) for check in checks) / count,
        "refused_rate": sum(bool(check.get("refused")) for check in checks) / count,
        "degenerate_rate": hits[DEGENERATE_OUTPUT] / count,
        "avg_safety_score": sum(float(check["score"]) for check in checks) / count,
        **{f"findings/{rule.name}": float(hits[rule.name]) for rule in RULES if hits[rule.name]},
    }
