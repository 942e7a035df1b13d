"""What changed from one run to another, as JSON values: inputs by digest, results by interval.

Nothing but two manifests and their evaluations is read; the same two give the same record.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar

from medlora.evaluate.schema import Rate, Verdict
from medlora.report.human_statements import NOT_PROVIDED, Statements
from medlora.report.loss_comparability import loss_inputs
from medlora.report.manifest_schema import RunManifest, StatedSetting
from medlora.report.sourced_numbers import Document
from medlora.report.too_few_for_interval import Interval, bounds

SCHEMA = 1
_LOSSES = ("train_loss", "base_eval_loss", "eval_loss", "best_eval_loss")
_STATED = ("change_reason", "update_procedure", "change_impact")
_DIGITS = 6
T = TypeVar("T")


class Both(TypedDict, Generic[T]):
    """Something of the earlier run (a) and of the later one (b)."""

    a: T
    b: T


class Pair(TypedDict):
    """Any value that two manifests have at the same place, None where one has nothing."""

    a: Any
    b: Any
    changed: bool


class Identity(TypedDict):
    """Which run one of the two is."""

    run_name: str | None
    status: str | None
    step: int | None
    adapter_sha256: str
    manifest_sha256: str
    evaluation_sha256: str | None
    statements_sha256: str | None
    allowed_changes: list[str]


class DataChange(TypedDict):
    """The data files by split, and every count of the data that differs."""

    files: dict[str, Pair]
    counts: dict[str, Pair]


class BaseChange(TypedDict):
    """The base models by digest, and their files that differ."""

    a: str | None
    b: str | None
    changed: bool
    files: dict[str, Pair]


class SettingChange(TypedDict):
    """A key of the config whose values differ."""

    key: str
    a: StatedSetting | None
    b: StatedSetting | None
    decides_the_adapter: bool


class LossChange(TypedDict):
    """A loss of both runs, in nats a target token; of other rows it is not compared."""

    metric: str
    a: float | None
    b: float | None
    difference: float | None
    same_rows: bool


class RateDifference(Interval):
    """The difference of two independent rates."""

    difference: float


class MeasureChange(TypedDict):
    """A rate of both adapters on a suite; of other prompts it is not compared."""

    suite: str
    metric: str
    a: Rate | None
    b: Rate | None
    same_prompts: bool
    change: RateDifference | None


class ChangeRecord(TypedDict):
    """What changed from one run to another; lists hold only what differs."""

    schema: int
    kind: str
    runs: Both[Identity]
    same_adapter: bool
    data: DataChange
    base: BaseChange
    config: list[SettingChange]
    software: dict[str, Pair]
    hardware: dict[str, Pair]
    seeds: dict[str, Pair]
    losses: list[LossChange]
    evaluation: list[MeasureChange]
    gate: Both[Verdict | None]
    stated: dict[str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two runs."""

    manifest: RunManifest
    adapter: str  # SHA-256 of its weights
    evaluation: Document | None = None
    statements: Statements = field(default_factory=Statements)


def change_record(a: Side, b: Side) -> ChangeRecord:
    """Return the record.

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
        "config": list(_config(a.manifest, b.manifest)),
        "software": _differing(a, b, "software"),
        "hardware": _differing(a, b, "hardware"),
        "seeds": _differing(a, b, "seeds"),
        "losses": list(_losses(a, b)),
        "evaluation": _evaluation(a, b),
        "gate": {"a": _verdict(a), "b": _verdict(b)},
        "stated": {key: b.statements.text(key, NOT_PROVIDED) for key in _STATED},
    }


def _identity(side: Side) -> Identity:
    manifest = side.manifest
    return {
        "run_name": manifest.get("run_name"),
        "status": manifest.get("status"),
        "step": manifest.get("step"),
        "adapter_sha256": side.adapter,
        "manifest_sha256": manifest["sha256"],
        "evaluation_sha256": side.evaluation.sha256 if side.evaluation else None,
        "statements_sha256": side.statements.sha256,
        "allowed_changes": manifest.get("allowed_changes", []),
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


def _data(a: Side, b: Side) -> DataChange:
    """Return each split's file by digest, and every count of the data that differs."""
    before, after = _both(a, b, "data", "sha256")
    counted = {
        f"{section} {name}": pair
        for section in ("data", "tokens")
        for name, pair in _changed_numbers(*_both(a, b, section)).items()
    }
    return {"files": _pairs(before or {}, after or {}), "counts": counted}


def _base(a: Side, b: Side) -> BaseChange:
    before, after = _both(a, b, "base_model", "sha256")
    files = _changed_pairs(*_both(a, b, "base_model", "files"))
    return {"a": before, "b": after, "changed": before != after, "files": files}


def _changed_pairs(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> dict[str, Pair]:
    pairs = _pairs(before or {}, after or {})
    return {name: pair for name, pair in pairs.items() if pair["changed"]}


def _pairs(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, Pair]:
    names = dict.fromkeys((*before, *after))
    return {name: _pair(before.get(name), after.get(name)) for name in names}


def _pair(before: object, after: object) -> Pair:
    return {"a": before, "b": after, "changed": before != after}


def _changed_numbers(before: object, after: object, name: str = "") -> dict[str, Pair]:
    """Return the numbers below two values that differ, by their place in words."""
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        left, right = (v if isinstance(v, Mapping) else {} for v in (before, after))
        pairs: dict[str, Pair] = {}
        for key in dict.fromkeys((*left, *right)):
            pairs |= _changed_numbers(left.get(key), right.get(key), f"{name} {key}".strip())
        return pairs
    numeric = any(isinstance(v, int | float) and not isinstance(v, bool) for v in (before, after))
    return {name: _pair(before, after)} if numeric and before != after else {}


def _config(a: RunManifest, b: RunManifest) -> Iterator[SettingChange]:
    """Yield the keys whose values differ, each with both origins."""
    before, after = a.get("config", {}), b.get("config", {})
    decisive = {*a.get("inputs", {}), *b.get("inputs", {})}
    for key in dict.fromkeys((*before, *after)):
        then, now = before.get(key), after.get(key)
        if _value(then) != _value(now):
            yield {"key": key, "a": then, "b": now, "decides_the_adapter": key in decisive}


def _value(setting: StatedSetting | None) -> object:
    return setting["value"] if setting else None


def _differing(a: Side, b: Side, section: str) -> dict[str, Pair]:
    return _changed_pairs(*_both(a, b, section))


def _losses(a: Side, b: Side) -> Iterator[LossChange]:
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


def _evaluation(a: Side, b: Side) -> list[MeasureChange]:
    """Return each rate of the adapters; of other prompts, both without a difference."""
    if not a.evaluation or not b.evaluation:
        return []
    suites = dict.fromkeys((*_suites(a.evaluation), *_suites(b.evaluation)))
    return [row for name in suites for row in _rates(name, a.evaluation, b.evaluation)]


def _suites(report: Document) -> dict[str, Any]:
    suites = report.at("/suites")
    return dict(suites) if isinstance(suites, Mapping) else {}


def _rates(name: str, a: Document, b: Document) -> Iterator[MeasureChange]:
    before, after = _suites(a).get(name, {}), _suites(b).get(name, {})
    same = before.get("sha256") == after.get("sha256") and before.get("asked") == after.get("asked")
    old, new = (suite.get("adapter", {}).get("rates", {}) for suite in (before, after))
    for measure in dict.fromkeys((*old, *new)):
        then, now = old.get(measure), new.get(measure)
        yield {
            "suite": name,
            "metric": measure,
            "a": then,
            "b": now,
            "same_prompts": same,
            "change": _change(then, now) if same and then and now else None,
        }


def _change(a: Rate, b: Rate) -> RateDifference | None:
    """Return the difference of two rates with its 95 % interval, as of independent samples.

    Which prompts were answered differently is not kept, so pairs cannot help; the interval is
    wider for it.  Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10.
    """
    before, after = bounds(a), bounds(b)
    then, now = a["rate"], b["rate"]
    if before is None or after is None or then is None or now is None:
        return None
    difference = now - then
    down = math.hypot(now - after[0], before[1] - then)
    up = math.hypot(after[1] - now, then - before[0])
    return {
        "difference": _rounded(difference),
        "low": _rounded(difference - down),
        "high": _rounded(difference + up),
    }


def _rounded(value: float) -> float:
    return round(value, _DIGITS) + 0.0  # no -0.0


def _verdict(side: Side) -> Verdict | None:
    gate = side.manifest.get("gate")
    return gate["verdict"] if gate else None
