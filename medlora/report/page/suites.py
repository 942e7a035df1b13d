"""What suites came to: what the adapter knows, and how its answers act."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from medlora.evaluate.kinds.registry import KINDS, MEASURES, kind_named
from medlora.evaluate.schema import SuiteSummary
from medlora.report.markdown import number
from medlora.report.page.rate_cells import MODELS, at, change_cell, rate_cell, run_cell, run_header
from medlora.report.page.run_facts import Run
from medlora.report.page.series import points_of
from medlora.report.page.table import Cell, Section, Table, say
from medlora.report.sourced_numbers import Document

# What the others hang on: collapsed answers say nothing.
_FIRST = frozenset(measure.name for measure in MEASURES.values() if measure.always)
_FIGURES = frozenset(figure.name for kind in KINDS for figure in kind.figures)
_NOT_EVALUATED = (
    "No suite of this kind was evaluated. `medlora evaluate` measures one, and "
    "`medlora report --evaluation FILE` shows it here."
)
_INTERVALS = (
    "Rates stand with their counts and Wilson's 95 % interval, changes in points of a percent with "
    "the interval of the paired difference and the rows that only one side has; p is McNemar's."
)
_ACTS = (
    "It is judged how an answer acts, not whether its medicine is right; that no rule was hit "
    "clears nothing."
)
_FINDINGS = "performance/findings/"


def evaluation(runs: Sequence[Run]) -> Section:
    """Return the suites that measure what the model knows, with 95 % intervals."""
    tables = [
        _suite(name, summaries, runs)
        for name, summaries in _suites(runs)
        if not _is_safety(summaries)
    ]
    return Section("evaluation", "Evaluation", tables, [_INTERVALS if tables else _NOT_EVALUATED])


def safety(runs: Sequence[Run]) -> Section:
    """Return how answers act: the findings of the safety checker, in counts."""
    suites = [
        _suite(name, summaries, runs) for name, summaries in _suites(runs) if _is_safety(summaries)
    ]
    tables = [*suites, *_looks(runs)]
    notes = [_ACTS, *([_INTERVALS] if suites else [])] if tables else [_NOT_EVALUATED]
    return Section("safety", "Safety findings", tables, notes)


_Suite = tuple[str, str, int]


def _suites(runs: Sequence[Run]) -> list[tuple[_Suite, dict[int, SuiteSummary]]]:
    """Return {run: what it came to} for each suite, known by name, digest and rows asked."""
    suites: dict[_Suite, dict[int, SuiteSummary]] = {}
    for index, run in enumerate(runs):
        for report in run.evaluations:
            for name, suite in _entries(report):
                key = (name, str(suite.get("sha256", "")), int(suite.get("asked", 0)))
                suites.setdefault(key, {})[index] = suite
    return list(suites.items())


def _entries(report: Document) -> Iterator[tuple[str, SuiteSummary]]:
    suites = report.at("/suites")
    for name, suite in suites.items() if isinstance(suites, Mapping) else ():
        if isinstance(suite, Mapping):
            yield str(name), cast("SuiteSummary", suite)  # as far as it has its keys


def _is_safety(summaries: Mapping[int, SuiteSummary]) -> bool:
    kinds = (kind_named(suite.get("kind")) for suite in summaries.values())
    return any(kind.is_judged for kind in kinds if kind)


def _suite(key: _Suite, summaries: Mapping[int, SuiteSummary], runs: Sequence[Run]) -> Table:
    name, digest, asked = key
    measures = dict.fromkeys(name for suite in summaries.values() for name in _measures(suite))
    rows = [
        [_named(measure), *run_cell(runs[index], runs), *_cells(suite, measure)]
        for measure in sorted(measures, key=lambda measure: (measure not in _FIRST, measure))
        for index, suite in summaries.items()
        if measure in _measures(suite)
    ]
    caption = f"{name}: {number(asked)} rows, SHA-256 {digest[:12]}"
    header = ["measure", *run_header(runs), "base", "adapter", "adapter - base", "p"]
    return Table(caption, header, rows)


def _named(measure: str) -> Cell:
    known = MEASURES.get(measure)
    return Cell(f"{known.meaning} ({measure})" if known else measure)


def _measures(suite: SuiteSummary) -> list[str]:
    rates = [
        name
        for who in MODELS
        for name, rate in (at(suite, who, "rates") or {}).items()
        if rate.get("n")
    ]
    kind = kind_named(suite.get("kind"))
    numbers = [
        figure.name
        for figure in (kind.figures if kind else ())
        if any(at(suite, who, figure.name) is not None for who in MODELS)
    ]
    changed = {*kind.changes, *kind.shares} - _FIGURES if kind else ()
    changes = [name for name in suite.get("change") or {} if name in changed]
    return [*numbers, *rates, *changes]


def _cells(suite: SuiteSummary, measure: str) -> list[Cell]:
    change = at(suite, "change", measure)
    return [
        *(_model_cell(suite, who, measure) for who in MODELS),
        change_cell(change) if change and "rate" not in change else rate_cell(change),
        _p(change),
    ]


def _model_cell(suite: SuiteSummary, who: str, measure: str) -> Cell:
    if measure in _FIGURES:
        return say(at(suite, who, measure))
    rate = at(suite, who, "rates", measure)
    if rate is None and at(suite, who, "not_scored") is not None:
        return Cell("not scored: too many answers have collapsed", "bad")
    return rate_cell(rate)


def _p(change: Mapping[str, Any] | None) -> Cell:
    p = (change or {}).get("p")
    return say(None) if p is None else Cell(f"{p:.3g}", whole=True)


def _looks(runs: Sequence[Run]) -> list[Table]:
    """Return the findings of the first and last look at answers while a run trained."""
    of_runs = [points_of(run.metrics) for run in runs]
    rules = dict.fromkeys(
        name for points in of_runs for kind, name in points if name.startswith(_FINDINGS)
    )
    asked = ("metrics", "performance/prompts")
    rows = []
    for name in rules:
        for run, points in zip(runs, of_runs, strict=True):
            prompts = points.get(asked, ())
            hits = dict(points.get(("metrics", name), ()))
            if prompts:  # a rule that hit nothing is not in the file
                first, last = prompts[0], prompts[-1]
                looks = [f"{hits.get(at.step, 0):g} of {at.value:g}" for at in (first, last)]
                rows.append(
                    [Cell(name.removeprefix(_FINDINGS)), *run_cell(run, runs), *map(Cell, looks)]
                )
    header = ["rule", *run_header(runs), "first look", "last look"]
    return [Table("Answers while it trained: how many each rule hit", header, rows)] if rows else []
