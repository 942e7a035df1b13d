"""What changed from one run to another, as JSON values: inputs by digest, results by interval.

Nothing but two manifests and their evaluations is read; the same two give the same record.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from medlora.report.evidence import Document
from medlora.report.interval import bounds
from medlora.report.measured import loss_inputs
from medlora.report.statements import NOT_PROVIDED, Statements

SCHEMA = 1
_LOSSES = ("train_loss", "base_eval_loss", "eval_loss", "best_eval_loss")
_STATED = ("change_reason", "update_procedure", "change_impact")
_DIGITS = 6
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two runs."""

    manifest: Facts
    adapter: str  # SHA-256 of its weights
    evaluation: Document | None = None
    statements: Statements = field(default_factory=Statements)


def change_record(a: Side, b: Side) -> dict[str, Any]:
    """Return the record; lists hold only what differs.

    Args:
        a: the earlier run.
        b: the later one.
    """
    return {
        "schema": SCHEMA,
        "kind": "change",
        "runs": {"a": _identity(a), "b": _identity(b)},
        "same_adapter": a.adapter == b.adapter,
        "data": _data(a, b),
        "base": _base(a, b),
        "config": list(_config(a, b)),
        "software": _differing(a, b, "software"),
        "hardware": _differing(a, b, "hardware"),
        "seeds": _differing(a, b, "seeds"),
        "losses": list(_losses(a, b)),
        "evaluation": _evaluation(a, b),
        "gate": {"a": _verdict(a), "b": _verdict(b)},
        "stated": {key: b.statements.text(key, NOT_PROVIDED) for key in _STATED},
    }


def _identity(side: Side) -> dict[str, Any]:
    manifest = side.manifest
    known = {name: manifest.get(name) for name in ("run_name", "status", "step")}
    changes = manifest.get("allowed_changes", [])
    digests = {"adapter_sha256": side.adapter, "manifest_sha256": manifest.get("sha256")}
    evaluated = side.evaluation.sha256 if side.evaluation else None
    return {
        **known,
        **digests,
        "evaluation_sha256": evaluated,
        "statements_sha256": side.statements.sha256,
        "allowed_changes": changes,
    }


def _both(a: Side, b: Side, *path: str) -> tuple[Any, Any]:
    """Return what both manifests have at a place."""
    values: list[Any] = []
    for side in (a, b):
        value: Any = side.manifest
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        values.append(value)
    return values[0], values[1]


def _data(a: Side, b: Side) -> dict[str, Any]:
    """Return each split's file by digest, and every count of the data that differs."""
    before, after = _both(a, b, "data", "sha256")
    counted = {
        f"{section} {name}": found
        for section in ("data", "tokens")
        for name, found in _changed_numbers(*_both(a, b, section)).items()
    }
    return {"files": _pairs(before or {}, after or {}), "counts": counted}


def _base(a: Side, b: Side) -> dict[str, Any]:
    before, after = _both(a, b, "base_model", "files")
    digests = _both(a, b, "base_model", "sha256")
    files = {name: one for name, one in _pairs(before or {}, after or {}).items() if one["changed"]}
    return {"a": digests[0], "b": digests[1], "changed": digests[0] != digests[1], "files": files}


def _pairs(before: Facts, after: Facts) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys((*before, *after))
    return {name: _pair(before.get(name), after.get(name)) for name in names}


def _pair(before: object, after: object) -> dict[str, Any]:
    return {"a": before, "b": after, "changed": before != after}


def _changed_numbers(before: object, after: object, name: str = "") -> dict[str, dict[str, Any]]:
    """Return the numbers below two values that differ, by their place in words."""
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        left, right = (v if isinstance(v, Mapping) else {} for v in (before, after))
        found: dict[str, dict[str, Any]] = {}
        for key in dict.fromkeys((*left, *right)):
            found |= _changed_numbers(left.get(key), right.get(key), f"{name} {key}".strip())
        return found
    numeric = any(isinstance(v, int | float) and not isinstance(v, bool) for v in (before, after))
    return {name: _pair(before, after)} if numeric and before != after else {}


def _config(a: Side, b: Side) -> Iterator[dict[str, Any]]:
    """Yield the keys whose values differ, each with both origins."""
    before, after = (value or {} for value in _both(a, b, "config"))
    decisive = {*a.manifest.get("inputs", {}), *b.manifest.get("inputs", {})}
    for key in dict.fromkeys((*before, *after)):
        then, now = before.get(key), after.get(key)  # {value, origin} or nothing
        if (then or {}).get("value") != (now or {}).get("value"):
            yield {"key": key, "a": then, "b": now, "decides_the_adapter": key in decisive}


def _differing(a: Side, b: Side, section: str) -> dict[str, dict[str, Any]]:
    before, after = _both(a, b, section)
    pairs = _pairs(before or {}, after or {})
    return {name: one for name, one in pairs.items() if one["changed"]}


def _losses(a: Side, b: Side) -> Iterator[dict[str, Any]]:
    """Yield each loss of both; losses on other rows are not compared."""
    for name in _LOSSES:
        then, now = _both(a, b, "result", name)
        if then is None and now is None:
            continue
        same_rows = loss_inputs(a.manifest, name) == loss_inputs(b.manifest, name)
        known = then is not None and now is not None and same_rows
        yield {
            "metric": name,
            "a": then,
            "b": now,
            "difference": round(now - then, _DIGITS) + 0.0 if known else None,
            "same_rows": same_rows,
        }


def _evaluation(a: Side, b: Side) -> list[dict[str, Any]]:
    """Return each rate of the adapters; of other prompts, both without a difference."""
    if not a.evaluation or not b.evaluation:
        return []
    suites = dict.fromkeys((*_suites(a.evaluation), *_suites(b.evaluation)))
    return [row for name in suites for row in _rates(name, a.evaluation, b.evaluation)]


def _suites(report: Document) -> dict[str, Any]:
    found = report.at("/suites")
    return dict(found) if isinstance(found, Mapping) else {}


def _rates(name: str, a: Document, b: Document) -> Iterator[dict[str, Any]]:
    before, after = _suites(a).get(name, {}), _suites(b).get(name, {})
    same = before.get("sha256") == after.get("sha256") and before.get("asked") == after.get("asked")
    old, new = (suite.get("adapter", {}).get("rates", {}) for suite in (before, after))
    for measure in dict.fromkeys((*old, *new)):
        then, now = old.get(measure), new.get(measure)
        known = {"suite": name, "metric": measure, "a": then, "b": now, "same_prompts": same}
        yield {**known, "change": _change(then, now) if same and then and now else None}


def _change(a: Facts, b: Facts) -> dict[str, float] | None:
    """Return the difference of two rates with its 95 % interval, as of independent samples.

    Which prompts were answered differently is not kept, so pairs cannot help; the interval is
    wider for it.  Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10.
    """
    before, after = bounds(a), bounds(b)
    if before is None or after is None:
        return None
    difference = b["rate"] - a["rate"]
    down = math.hypot(b["rate"] - after[0], before[1] - a["rate"])
    up = math.hypot(after[1] - b["rate"], a["rate"] - before[0])
    numbers = {"difference": difference, "low": difference - down, "high": difference + up}
    return {name: round(value, _DIGITS) + 0.0 for name, value in numbers.items()}


def _verdict(side: Side) -> str | None:
    gate = side.manifest.get("gate")
    return gate.get("verdict") if isinstance(gate, Mapping) else None
