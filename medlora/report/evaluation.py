"""An evaluation as JSON, the same bytes for the same figures, and as a table for people."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from medlora.escape import escaped
from medlora.evaluate.kinds.kind import SuiteKind
from medlora.evaluate.kinds.registry import MEASURES, kind_named
from medlora.evaluate.schema import (
    Figures,
    GateResult,
    GateRule,
    JudgedRate,
    MeanChange,
    Rate,
    RateChange,
    SuiteSummary,
    Unscored,
    rates_of,
)
from medlora.files import json_bytes
from medlora.report.manifest_schema import EvaluationReport
from medlora.report.too_few_for_interval import TOO_FEW, bounds

SCHEMA = 1
# First, for what collapsed answers say means nothing.
_ORDER = frozenset(measure.name for measure in MEASURES.values() if measure.always)


def report_bytes(report: Mapping[str, object]) -> bytes:
    """Return a report with sorted keys; it has no times and no paths."""
    return json_bytes(json.loads(json.dumps(report, sort_keys=True)))


def table(report: EvaluationReport) -> str:
    """Return what a report says, in lines for a terminal."""
    lines: list[str] = []
    for name, summary in report["suites"].items():
        asked = f"{summary['asked']} of {summary['rows']} rows"
        lines += ["", f"{name}: {summary['kind']}, {asked}, SHA-256 {summary['sha256'][:12]}"]
        lines += _suite_lines(summary)
    gate = report.get("gate")
    if gate:
        lines += ["", *gate_lines(gate)]
    return "\n".join(map(escaped, lines)).strip("\n")


def gate_lines(gate: GateResult) -> list[str]:
    """Return a gate's verdict and a line for each of its rules."""
    header = ("rule", "suite", "base", "adapter", "verdict")
    return [*_columns([header, *map(_rule_row, gate["rules"])]), f"gate: {gate['verdict']}"]


def _rule_row(rule: GateRule) -> tuple[str, ...]:
    name, figures = rule["rule"], (_judged(rule.get("base")), _judged(rule.get("adapter")))
    if name == "max_drop":
        name = f"max_drop {rule['measure']}"
        figures = ("", _change_words(rule["change"]) if "change" in rule else _NOT_SCORED)
    return (f"{name} {rule['threshold']:g}", rule["suite"], *figures, rule["verdict"])


def _suite_lines(summary: SuiteSummary) -> list[str]:
    kind = kind_named(summary["kind"])
    if kind is None or not (kind.figures or kind.changes):
        return [*_refusals(summary), *_columns([_HEAD, *_rate_rows(summary)])]
    return _columns(list(_figure_rows(kind, summary)))


def _figure_rows(kind: SuiteKind, summary: SuiteSummary) -> Iterator[tuple[str, ...]]:
    for who, model in (("base", summary.get("base")), ("adapter", summary.get("adapter"))):
        if model:
            numbers = cast("Figures", model)
            cells = (
                _figure(figure.name, numbers[figure.name], figure.form) for figure in kind.figures
            )
            yield (who, *cells)
    change = summary.get("change")
    if change is None:
        if kind.facts is None:
            yield ("the change needs an adapter",)
        return
    for name in kind.changes:
        yield _mean_change_row(name, cast("MeanChange", change[name]))
    for name in kind.shares:
        yield (name, _rate_words(cast("Rate", change[name])), "")


def _mean_change_row(name: str, change: MeanChange) -> tuple[str, ...]:
    difference = _figure(name, change["difference"], "+.4f")
    return ("adapter - base", difference, _interval_words(change, "+.4f"))


def _figure(name: str, value: float | None, form: str) -> str:
    """Return a figure with its name; a base that computes no numbers has none."""
    is_number = value is not None and math.isfinite(value)
    return f"{name} {value:{form}}" if is_number else f"{name} is no number"


_HEAD = ("", "base", "adapter", "adapter - base", "p")
_NOT_SCORED = "not scored"


def _refusals(summary: SuiteSummary) -> list[str]:
    both = (("base", summary.get("base")), ("adapter", summary.get("adapter")))
    return [
        f"  {who} NOT SCORED: {rates['not_scored']}"
        for who, model in both
        if (rates := rates_of(model)) and "not_scored" in rates
    ]


def _rate_rows(summary: SuiteSummary) -> Iterator[tuple[str, ...]]:
    """Yield a line for each measure, those first that the others hang on."""
    models = [rates_of(summary.get("base")), rates_of(summary.get("adapter"))]
    both = [model["rates"] if model else {} for model in models]
    names = {**both[0], **both[1]}
    for name in sorted(names, key=lambda name: (name not in _ORDER, name)):
        if not any(rates[name]["n"] for rates in both if name in rates):
            continue
        cells = [
            _rate_words(rates.get(name)) if model else ""
            for model, rates in zip(models, both, strict=True)
        ]
        change = cast("RateChange | None", summary.get("change", {}).get(name))
        words = (_change_words(change), f"{change['p']:.3g}") if change else ("", "")
        yield (name, *cells, *words)


def _judged(rate: JudgedRate | Unscored | None) -> str:
    if not rate:
        return ""
    figure = _NOT_SCORED if "not_scored" in rate else _rate_words(rate)
    return f"{figure} {rate['verdict']}"


def _rate_words(rate: Rate | None) -> str:
    if not rate:
        return _NOT_SCORED
    return f"{rate['k']}/{rate['n']} {_interval_words(rate, '.3f')}"


def _change_words(change: RateChange) -> str:
    if change["difference"] is None:  # no item has both answers
        return _NOT_SCORED
    sides = f"-{change['base_only']} +{change['adapter_only']}"
    return f"{sides} {change['difference']:+.3f} {_interval_words(change, '+.3f')}"


def _interval_words(figure: Rate | RateChange | MeanChange, form: str) -> str:
    pair = bounds(figure)
    return f"[{pair[0]:{form}}, {pair[1]:{form}}]" if pair else f"({TOO_FEW})"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    count = max((len(row) for row in rows), default=0)
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(count)]
    return [
        ("  " + "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row))).rstrip()
        for row in rows
    ]
