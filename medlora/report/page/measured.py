"""What was measured of the adapter: evaluations, the gate, safety, what it knows by heart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medlora.report.evidence import Document
from medlora.report.markdown import number
from medlora.report.page.run import Run
from medlora.report.page.series import points_of
from medlora.report.page.table import Cell, Section, Table, code, facts, say, verdict

Found = Mapping[str, Any]
_MODELS = ("base", "adapter")
_FIRST = ("degenerate", "cut")  # what the others hang on: collapsed answers say nothing
_SAFETY = "generation"
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
_MEANING = {
    "degenerate": "collapsed answers",
    "cut": "not done at the limit",
    "refusal": "declines what would harm",
    "escalation": "urges care in an emergency",
    "over_refusal": "declines a harmless question",
    "diagnosis": "diagnoses without a hedge",
    "dosing": "names a dose without a referral",
    "discouraging": "discourages care",
    "compliant": "no rule against it",
    "accuracy": "right answers",
    "accuracy_norm": "right answers, by length",
    "risen": "margin moved towards the better",
}


def evaluation(runs: Sequence[Run]) -> Section:
    """Return the suites that measure what the model knows, with 95 % intervals."""
    tables = [_suite(name, found, runs) for name, found in _suites(runs) if not _is_safety(found)]
    return Section("evaluation", "Evaluation", tables, [_INTERVALS if tables else _NOT_EVALUATED])


def safety(runs: Sequence[Run]) -> Section:
    """Return how answers act: the findings of the safety checker, in counts."""
    suites = [_suite(name, found, runs) for name, found in _suites(runs) if _is_safety(found)]
    tables = [*suites, *_looks(runs)]
    notes = [_ACTS, *([_INTERVALS] if suites else [])] if tables else [_NOT_EVALUATED]
    return Section("safety", "Safety findings", tables, notes)


def gate(runs: Sequence[Run]) -> Section:
    """Return each rule of the gate with its verdict."""
    rows = [
        [Cell(_rule_name(rule)), *_run_cell(run, runs), *_rule_cells(rule)]
        for run in runs
        for rule in run.fact("gate", "rules") or ()
    ]
    header = ["rule", *_run_header(runs), "suite", "base", "adapter", "verdict"]
    notes = ["A rule passes only where the whole interval is on the right side of its threshold."]
    if not rows:
        return Section("gate", "Gate", notes=["No gate was configured: nothing was asked of it."])
    return Section("gate", "Gate", [Table("Rules", header, rows)], notes)


def memorisation(runs: Sequence[Run]) -> Section:
    """Return what an adapter knows by heart, of the runs that were asked."""
    asked = [run for run in runs if run.memory]
    if not asked:
        text = "Not measured: `medlora audit-memory measure` does, and this page then has it."
        return Section("memorisation", "Memorisation", notes=[text])
    tables = [*_exposures(asked, runs), _extraction(asked, runs)]
    notes = [f"{run.label}: not measured." for run in runs if not run.memory and len(runs) > 1] + [
        "Exposure: bits that the adapter saves who searches for a secret; unseen ones have 1.44."
    ]
    return Section("memorisation", "Memorisation", tables, notes)


def _suites(runs: Sequence[Run]) -> list[tuple[tuple[str, str], dict[int, Found]]]:
    """Return {run: what it came to} for each suite, known by name and digest."""
    found: dict[tuple[str, str], dict[int, Found]] = {}
    for index, run in enumerate(runs):
        for report in run.evaluations:
            for name, suite in _entries(report):
                key = (name, str(suite.get("sha256", "")))
                found.setdefault(key, {})[index] = suite
    return list(found.items())


def _entries(report: Document) -> Iterator[tuple[str, Found]]:
    suites = report.at("/suites")
    for name, suite in suites.items() if isinstance(suites, Mapping) else ():
        if isinstance(suite, Mapping):
            yield str(name), suite


def _is_safety(found: Mapping[int, Found]) -> bool:
    return any(suite.get("kind") == _SAFETY for suite in found.values())


def _suite(key: tuple[str, str], found: Mapping[int, Found], runs: Sequence[Run]) -> Table:
    name, digest = key
    first = next(iter(found.values()))
    measures = dict.fromkeys(name for suite in found.values() for name in _measures(suite))
    rows = [
        [_named(measure), *_run_cell(runs[index], runs), *_cells(suite, measure)]
        for measure in sorted(measures, key=lambda measure: (measure not in _FIRST, measure))
        for index, suite in found.items()
        if measure in _measures(suite)
    ]
    caption = f"{name}: {number(int(first.get('asked', 0)))} rows, SHA-256 {digest[:12]}"
    header = ["measure", *_run_header(runs), "base", "adapter", "adapter - base", "p"]
    return Table(caption, header, rows)


def _named(measure: str) -> Cell:
    meaning = _MEANING.get(measure)
    return Cell(f"{meaning} ({measure})" if meaning else measure)


def _measures(suite: Found) -> list[str]:
    rates = [
        name
        for who in _MODELS
        for name, found in (_at(suite, who, "rates") or {}).items()
        if found.get("n")
    ]
    numbers = [
        name
        for name in ("loss", "perplexity")
        if any(_at(suite, who, name) is not None for who in _MODELS)
    ]
    changes = [name for name in suite.get("change") or {} if name in ("margin", "risen")]
    return [*numbers, *rates, *changes]


def _cells(suite: Found, measure: str) -> list[Cell]:
    change = _at(suite, "change", measure)
    return [
        *(_one(suite, who, measure) for who in _MODELS),
        _change(change) if change and "rate" not in change else _rate(change),
        _p(change),
    ]


def _one(suite: Found, who: str, measure: str) -> Cell:
    if measure in ("loss", "perplexity"):
        return say(_at(suite, who, measure))
    found = _at(suite, who, "rates", measure)
    if found is None and "not_scored" in (suite.get(who) or {}):
        return Cell("not scored: too many answers have collapsed", "bad")
    return _rate(found)


def _rate(found: Found | None) -> Cell:
    """Return a rate as a person reads it: how many of how many, and where the truth may lie."""
    if not found or not found.get("n"):
        return say(None)
    low, high = float(found["low"]), float(found["high"])
    rate = float(found["rate"])
    percents = f"{100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    text = f"{found['k']} of {found['n']}: {percents}"
    return Cell(text, whole=True, share=(low, rate, high))


def _change(found: Found) -> Cell:
    if found.get("difference") is None:
        return say(None)
    paired = "base_only" in found  # of rates: in points of a percent
    scale, form = (100, "+.1f") if paired else (1, "+.4g")

    def told(value: float) -> str:
        return format(scale * value, form)

    bounds = [told(found[side]) for side in ("low", "high") if found.get(side) is not None]
    more = f" [{', '.join(bounds)}]" if bounds else ""
    sides = f"; -{found['base_only']} +{found['adapter_only']} rows" if paired else ""
    return Cell(f"{told(found['difference'])}{more}{sides}", whole=True)


def _p(change: Found | None) -> Cell:
    p = (change or {}).get("p")
    return say(None) if p is None else Cell(f"{p:.3g}", whole=True)


def _rule_name(rule: Found) -> str:
    of = f" of {rule['measure']}" if rule["rule"] == "max_drop" and "measure" in rule else ""
    return f"{rule['rule']}{of} {rule['threshold']:g}"


def _rule_cells(rule: Found) -> list[Cell]:
    figures = [_judged(rule.get(who)) for who in _MODELS]
    if "change" in rule:
        figures = [say(None), _change(rule["change"])]
    return [Cell(str(rule.get("suite", ""))), *figures, verdict(rule.get("verdict"))]


def _judged(found: Found | None) -> Cell:
    if found and "not_scored" in found:
        return Cell("not scored", "bad")
    return _rate(found)


def _looks(runs: Sequence[Run]) -> list[Table]:
    """Return the findings of the first and last look at answers while a run trained."""
    found = [points_of(run.metrics) for run in runs]
    rules = dict.fromkeys(
        name for points in found for kind, name in points if name.startswith(_FINDINGS)
    )
    asked = ("metrics", "performance/prompts")
    rows = []
    for name in rules:
        for run, points in zip(runs, found, strict=True):
            prompts = points.get(asked, ())
            hits = dict(points.get(("metrics", name), ()))
            if prompts:  # a rule that hit nothing is not in the file
                first, last = prompts[0], prompts[-1]
                looks = [f"{hits.get(at.step, 0):g} of {at.value:g}" for at in (first, last)]
                rows.append(
                    [Cell(name.removeprefix(_FINDINGS)), *_run_cell(run, runs), *map(Cell, looks)]
                )
    header = ["rule", *_run_header(runs), "first look", "last look"]
    return [Table("Answers while it trained: how many each rule hit", header, rows)] if rows else []


def _exposures(asked: Sequence[Run], runs: Sequence[Run]) -> Iterator[Table]:
    rows = [
        [
            Cell(f"{group['copies'] or 'none'}"),
            *_run_cell(run, runs),
            say(group["canaries"]),
            *(
                Cell(f"{number(one['mean'])} [{number(one['min'])}, {number(one['max'])}]")
                for one in (group[who] for who in _MODELS)
            ),
        ]
        for run in asked
        for group in _memory(run, "/canaries/by_copies") or ()
    ]
    if rows:
        header = ["copies", *_run_header(runs), "canaries", "base", "adapter"]
        yield Table("Exposure of canaries in bits: mean [least, largest]", header, rows)


def _extraction(asked: Sequence[Run], runs: Sequence[Run]) -> Table:
    rows = [
        [
            Cell(f"{_memory(run, '/extraction/match_tokens')} tokens"),
            *_run_cell(run, runs),
            *(_extracted(_memory(run, f"/extraction/{who}")) for who in _MODELS),
            code((run.memory.sha256 if run.memory else "")[:12]),
        ]
        for run in asked
    ]
    header = ["word for word for", *_run_header(runs), "base", "adapter", "report's SHA-256"]
    return Table("Training rows that are continued by heart", header, rows)


def _extracted(found: Found | None) -> Cell:
    if not found or not found.get("n"):
        return say(None)
    low, high = found["wilson95"]
    rate = {"k": found["extracted"], "n": found["n"], "rate": found["rate"]}
    return _rate({**rate, "low": low, "high": high})


def _memory(run: Run, pointer: str) -> Any:  # noqa: ANN401  (any JSON value)
    return run.memory.at(pointer) if run.memory else None


def _at(value: Found, *names: str) -> Any:  # noqa: ANN401
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None  # type: ignore[assignment]
    return value


def _run_header(runs: Sequence[Run]) -> list[str]:
    return ["run"] if len(runs) > 1 else []


def _run_cell(run: Run, runs: Sequence[Run]) -> list[Cell]:
    return [Cell(run.label)] if len(runs) > 1 else []


def privacy_bound(runs: Sequence[Run]) -> Table | None:
    """Return what differential privacy promises, None where no run has it."""
    names = dict.fromkeys(name for run in runs for name in run.fact("differential_privacy") or {})
    if not names:
        return None
    rows = [
        (name.replace("_", " "), [say(run.fact("differential_privacy", name)) for run in runs])
        for name in names
    ]
    return facts("Differential privacy", [run.label for run in runs], rows)
