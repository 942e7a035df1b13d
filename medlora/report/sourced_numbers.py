"""Numbers with where they come from: a file, its SHA-256, and the place in it.

A card may show nothing else: whoever doubts a number opens the file and looks.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from medlora.evaluate.kinds.registry import kind_named
from medlora.files import sha256_bytes
from medlora.report.too_few_for_interval import bounds

Number = int | float | str
Group = str  # of the Applied Model Card: usefulness or safety


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON file that numbers are taken from."""

    name: str
    sha256: str
    value: Any

    def at(self, pointer: str) -> Any:  # noqa: ANN401  (any JSON value)
        """Return what stands at a JSON pointer, None where nothing does.  Source: RFC 6901."""
        value = self.value
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            elif isinstance(value, Mapping) and name in value:
                value = value[name]
            else:
                return None
        return value


def document(name: str, content: bytes) -> Document:
    """Return a file of JSON; one that is none has no value, and so no number."""
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    return Document(name, sha256_bytes(content), value)


class Source(TypedDict):
    """Where a number stands."""

    file: str
    sha256: str
    at: str  # JSON pointer


class FigureRecord(TypedDict, total=False):
    """A number with all that is known of it, as a card's JSON."""

    value: Number
    k: int
    n: int
    low: float
    high: float
    confidence: float
    p: float
    source: Source


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, its interval if it has one, and where it stands."""

    label: str
    metric: str
    value: Number
    source: Document
    pointer: str
    interval: tuple[float, float] | None = None  # 95 %
    counts: tuple[int, int] | None = None  # k of n
    about: tuple[str, str] | None = None  # what it was measured on: name and SHA-256
    group: Group = "usefulness"
    p: float | None = None  # of McNemar's exact test

    @property
    def place(self) -> str:
        """The file and the place in it, as a person would look it up."""
        return f"{self.source.name}#{self.pointer}"

    def as_json(self) -> FigureRecord:
        """Return the number with all that is known of it."""
        record: FigureRecord = {"value": self.value}
        if self.counts:
            record["k"], record["n"] = self.counts
        if self.interval:
            record["low"], record["high"] = self.interval
            record["confidence"] = 0.95
        if self.p is not None:
            record["p"] = self.p
        file = self.source
        record["source"] = {"file": file.name, "sha256": file.sha256, "at": self.pointer}
        return record


_TRAINING = {
    "/result/steps": "optimizer steps",
    "/result/tokens": "tokens seen",
    "/result/targets": "tokens with loss",
    "/result/skipped_steps": "steps skipped",
    "/adapter/trainable_parameters": "trained parameters",
    "/base_model/parameters": "parameters of the base",
    "/flops/training": "floating-point operations",
}
_LOSSES = {
    "/result/train_loss": ("training loss, last epoch", "train_loss"),
    "/result/base_eval_loss": ("held-out loss, base", "base_eval_loss"),
    "/result/eval_loss": ("held-out loss, adapter", "eval_loss"),
    "/result/best_eval_loss": ("held-out loss, best checkpoint", "best_eval_loss"),
}
_COUNTED = ("/data", "/tokens", "/differential_privacy")
_DETAILS = ("schema", "version", "quantiles")  # in the file; too much for a page


def training_figures(facts: Document) -> list[Figure]:
    """Return how much was trained."""
    named = {pointer: (label, label.replace(" ", "_")) for pointer, label in _TRAINING.items()}
    return list(_named(facts, named))


def loss_figures(facts: Document) -> list[Figure]:
    """Return the losses, in nats a token."""
    split = "eval" if facts.at("/data/sha256/eval") else "train"
    digest = facts.at(f"/data/sha256/{split}") or ""
    return list(_named(facts, _LOSSES, about=("held-out rows", digest)))


def data_figures(facts: Document) -> list[Figure]:
    """Return every count that the run made of its data: rows, tokens, findings, duplicates."""
    return [figure for pointer in _COUNTED for figure in _numbers(facts, pointer)]


def evaluation_figures(report: Document) -> list[Figure]:
    """Return the figures of an evaluation, base before adapter before their difference.

    The shape is that of `medlora evaluate`; what a report does not have is left out.
    """
    suites = report.at("/suites")
    named = suites.items() if isinstance(suites, Mapping) else ()
    return [
        figure
        for name, suite in named
        if isinstance(suite, Mapping)
        for figure in _suite_figures(report, str(name), suite)
    ]


def gate_figures(facts: Document) -> list[Figure]:
    """Return the gate's verdict, nothing where there was no gate."""
    return list(_named(facts, {"/gate/verdict": ("verdict of the gate", "gate")}, group="safety"))


def step(name: str) -> str:
    """Return one part of a JSON pointer."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _named(
    source: Document,
    names: Mapping[str, tuple[str, str]],
    *,
    about: tuple[str, str] | None = None,
    group: Group = "usefulness",
) -> Iterator[Figure]:
    for pointer, (label, metric) in names.items():
        value = source.at(pointer)
        if isinstance(value, int | float | str):
            yield Figure(label, metric, value, source, pointer, about=about, group=group)


def _numbers(source: Document, pointer: str) -> Iterator[Figure]:
    """Yield every number below a place, lists left out: they hold lines, not counts."""
    value = source.at(pointer)
    if isinstance(value, Mapping):
        for name in (name for name in value if name not in _DETAILS):
            yield from _numbers(source, pointer + step(str(name)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        label = pointer.strip("/").replace("/", " ").replace("_", " ")
        yield Figure(label, label.replace(" ", "_"), value, source, pointer)


def _suite_figures(report: Document, name: str, suite: Mapping[str, Any]) -> Iterator[Figure]:
    root, about = f"/suites{step(name)}", (name, str(suite.get("sha256", "")))
    kind = kind_named(suite.get("kind"))
    group: Group = "safety" if kind and kind.is_judged else "usefulness"
    for who in ("base", "adapter"):
        for measure in (figure.name for figure in (kind.figures if kind else ())):
            place = f"{root}/{who}/{measure}"
            names = {place: (f"{name}: {measure}, {who}", measure)}
            yield from _named(report, names, about=about, group=group)
        rates = report.at(f"{root}/{who}/rates") or ()
        # First what the others hang on: what collapsed answers say means nothing.
        for measure in sorted(rates, key=lambda measure: (measure != "degenerate", measure)):
            place = f"{root}/{who}/rates{step(measure)}"
            yield from _rate(report, place, (f"{name}: {measure}, {who}", measure), about, group)
    for measure in report.at(f"{root}/change") or ():
        place = f"{root}/change{step(measure)}"
        key = "rate" if report.at(f"{place}/rate") is not None else "difference"
        names_of = (f"{name}: {measure}, adapter - base", f"{measure}_{key}")
        yield from _rate(report, place, names_of, about, group, key=key)


def _rate(
    report: Document,
    place: str,
    names: tuple[str, str],
    about: tuple[str, str],
    group: Group,
    key: str = "rate",
) -> Iterator[Figure]:
    figure = report.at(place)
    value = report.at(f"{place}/{key}")
    if not isinstance(value, int | float):
        return
    yield Figure(
        *names,
        value,
        report,
        f"{place}/{key}",
        interval=bounds(figure),
        counts=_pair(figure, "k", "n"),
        about=about,
        group=group,
        p=figure.get("p"),
    )


def _pair(figure: Mapping[str, Any], first: str, second: str) -> tuple[Any, Any] | None:
    """Return two numbers, None where one of them is not there."""
    pair = (figure.get(first), figure.get(second))
    return pair if all(isinstance(part, int | float) for part in pair) else None
