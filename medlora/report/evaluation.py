"""An evaluation as JSON, the same bytes for the same figures, and as a table for people."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medlora.escape import escaped
from medlora.files import json_bytes
from medlora.report.interval import TOO_FEW, bounds

SCHEMA = 1
_ORDER = ("degenerate", "cut", "unended_thought")  # first: what collapsed answers say means nothing


def report_bytes(report: Mapping[str, Any]) -> bytes:
    """Return a report with sorted keys; it has no times and no paths."""
    return json_bytes(json.loads(json.dumps(report, sort_keys=True)))


def table(report: Mapping[str, Any]) -> str:
    """Return what a report says, in lines for a terminal."""
    lines: list[str] = []
    for name, facts in report["suites"].items():
        asked = f"{facts['asked']} of {facts['rows']} rows"
        lines += ["", f"{name}: {facts['kind']}, {asked}, SHA-256 {facts['sha256'][:12]}"]
        lines += _suite_lines(facts)
    if report.get("gate"):
        lines += ["", *gate_lines(report["gate"])]
    return "\n".join(map(escaped, lines)).strip("\n")


def gate_lines(gate: Mapping[str, Any]) -> list[str]:
    """Return a gate's verdict and a line for each of its rules."""
    rows = [("rule", "suite", "base", "adapter", "verdict")]
    for rule in gate["rules"]:
        name = rule["rule"]
        if name == "max_drop":
            figures = ("", _change_words(rule["change"]) if "change" in rule else "not scored")
            name = f"max_drop {rule['measure']}"
        else:
            figures = (_judged(rule.get("base")), _judged(rule.get("adapter")))
        limit = f"{name} {rule['threshold']:g}"
        rows.append((limit, rule["suite"], *figures, rule["verdict"]))
    return [*_columns(rows), f"gate: {gate['verdict']}"]


def _suite_lines(facts: Mapping[str, Any]) -> list[str]:
    match facts["kind"]:
        case "perplexity":
            rows = [
                (who, _figure("loss", facts[who], ".4f"), _figure("perplexity", facts[who], "g"))
                for who in ("base", "adapter")
                if who in facts
            ]
            return _columns([*rows, *_numeric_change(facts, "loss")])
        case "pairs":
            margin = _numeric_change(facts, "margin")
            risen = facts.get("change", {}).get("risen")
            return _columns([*margin, ("risen", _rate_words(risen), "")] if risen else margin)
        case _:
            return [*_refusals(facts), *_columns([_HEAD, *_rate_rows(facts)])]


def _figure(name: str, facts: Mapping[str, Any], form: str) -> str:
    """Return a figure with its name; a base that computes no numbers has none."""
    value = facts[name]
    is_one = value is not None and math.isfinite(value)
    return f"{name} {value:{form}}" if is_one else f"{name} is no number"


_HEAD = ("", "base", "adapter", "adapter - base", "p")


def _refusals(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"  {who} NOT SCORED: {facts[who]['not_scored']}"
        for who in ("base", "adapter")
        if "not_scored" in facts.get(who, {})
    ]


def _rate_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a line for each measure, those first that the others hang on."""
    found = {who: facts.get(who, {}).get("rates", {}) for who in ("base", "adapter")}
    names = {**found["base"], **found["adapter"]}
    for name in sorted(names, key=lambda name: (name not in _ORDER, name)):
        if not any(rates.get(name, {"n": 0})["n"] for rates in found.values()):
            continue
        rates = [_rate_words(found[who].get(name)) if who in facts else "" for who in found]
        change = facts.get("change", {}).get(name)
        words = (_change_words(change), f"{change['p']:.3g}") if change else ("", "")
        yield (name, *rates, *words)


def _numeric_change(facts: Mapping[str, Any], name: str) -> list[tuple[str, ...]]:
    change = facts.get("change", {}).get(name)
    if not change:
        return [] if "base" in facts else [("the change needs an adapter",)]
    difference = f"{name} {change['difference']:+.4f}"
    return [("adapter - base", difference, _interval(change, "+.4f"))]


def _judged(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    figure = "not scored" if "not_scored" in found else _rate_words(found)
    return f"{figure} {found['verdict']}"


def _rate_words(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "not scored"
    return f"{found['k']}/{found['n']} {_interval(found, '.3f')}"


def _change_words(found: Mapping[str, Any]) -> str:
    sides = f"-{found['base_only']} +{found['adapter_only']}"
    return f"{sides} {found['difference']:+.3f} {_interval(found, '+.3f')}"


def _interval(found: Mapping[str, Any], form: str) -> str:
    pair = bounds(found)
    return f"[{pair[0]:{form}}, {pair[1]:{form}}]" if pair else f"({TOO_FEW})"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    count = max((len(row) for row in rows), default=0)
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(count)]
    return [
        ("  " + "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row))).rstrip()
        for row in rows
    ]
