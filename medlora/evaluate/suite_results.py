"""What a suite comes to: rates with their intervals, and the adapter against its base, in JSON."""

from medlora.evaluate.ask_suite import Flags, Observed
from medlora.evaluate.figures import MOST_DEGENERATE, rate
from medlora.evaluate.kinds.registry import kind_of
from medlora.evaluate.schema import SuiteSummary
from medlora.evaluate.suite import Suite


def summarise(suite: Suite, base: Observed | None, adapter: Observed | None) -> SuiteSummary:
    """Return what a suite comes to, as JSON values.

    Args:
        suite: the items that were asked.
        base: what the base did.
        adapter: what the base with the adapter did.
    """
    kind = kind_of(suite)
    summary: SuiteSummary = {
        "kind": suite.kind,
        "sha256": suite.sha256,
        "rows": suite.rows,
        "asked": len(suite.items),
    }
    if base and kind.facts:
        summary["base"] = kind.facts(suite, base, _scored(suite, base))
    if adapter and kind.facts:
        summary["adapter"] = kind.facts(suite, adapter, _scored(suite, adapter))
    if base and adapter:
        both = (_scored(suite, base), _scored(suite, adapter))
        summary["change"] = kind.change(base, adapter, both)
    return summary


def _scored(suite: Suite, observed: Observed) -> Flags:
    """Return the measures that mean something: few of them where the answers collapsed."""
    collapsed = rate(observed.flags.get("degenerate", []))["rate"]
    if collapsed is not None and collapsed > MOST_DEGENERATE:
        always = [measure.name for measure in kind_of(suite).measures if measure.always]
        return {name: observed.flags[name] for name in always if name in observed.flags}
    return observed.flags
