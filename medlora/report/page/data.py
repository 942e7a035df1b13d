"""What was in the data: the audit's counts, and the identifiers that the scan found."""

from collections.abc import Iterator, Sequence

from medlora.report.page.memorisation import privacy_bound
from medlora.report.page.run_facts import Run
from medlora.report.page.table import Cell, Section, Table, facts, say

_SPLITS = ("train", "eval")
_AUDIT: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("rows", ("files", "{split}", "rows")),
    ("tokens", ("lengths", "{split}", "tokens", "total")),
    ("share of the tokens that is learnt", ("lengths", "{split}", "supervised_share")),
    ("tokens of a row, median", ("lengths", "{split}", "tokens", "quantiles", "0.5")),
    ("tokens of a row, 95 %", ("lengths", "{split}", "tokens", "quantiles", "0.95")),
    ("tokens of a row, most", ("lengths", "{split}", "tokens", "quantiles", "1")),
    ("rows over the limit", ("lengths", "{split}", "overlong", "rows")),
    ("exact duplicates, rows", ("duplicates", "{split}", "exact", "rows")),
    ("exact duplicates, questions", ("duplicates", "{split}", "exact", "questions")),
    ("duplicates but for case and punctuation", ("duplicates", "{split}", "normalised", "rows")),
    ("near duplicates", ("duplicates", "{split}", "near_duplicates")),
    ("largest cluster of near duplicates", ("duplicates", "{split}", "clusters", "largest_rows")),
)
_LEAKAGE: tuple[tuple[str, str], ...] = (
    ("evaluation rows", "evaluation_rows"),
    ("given away by training rows", "leaked_rows"),
    ("same question", "same_question"),
    ("same answer", "same_answer"),
    ("same group", "same_group"),
    ("near duplicate", "same_near_duplicate"),
)


def audit(runs: Sequence[Run]) -> Section:
    """Return the counts of the data audit, and its warnings."""
    labels = [run.label for run in runs]
    tables = [
        *(_split(split, runs, labels) for split in _SPLITS),
        facts(
            "Leakage: what evaluation rows share with training rows",
            labels,
            [(name, [_audited(run, "leakage", key) for run in runs]) for name, key in _LEAKAGE],
        ),
        *_contamination(runs, labels),
    ]
    warnings = [
        f"{run.label}: {line}" if len(runs) > 1 else line
        for run in runs
        for line in run.fact("data", "audit", "warnings") or ()
    ]
    kept = [table for table in tables if table.rows]
    return Section(
        "data", "Data audit", kept, [*warnings] if kept else ["The manifest has no data audit."]
    )


def privacy(runs: Sequence[Run]) -> Section:
    """Return the identifiers that were found in the data, by class, and the policy."""
    labels = [run.label for run in runs]
    rows = [("policy", [say(run.fact("data", "privacy", "policy")) for run in runs])]
    for split in _SPLITS:
        place = ("data", "privacy", "files", split)
        rows.append((f"{split}: rows", [say(run.fact(*place, "rows")) for run in runs]))
        rows.append(
            (f"{split}: rows with a finding", [say(run.fact(*place, "rows_with")) for run in runs])
        )
        classes = dict.fromkeys(name for run in runs for name in run.fact(*place, "counts") or {})
        rows += [
            (f"{split}: {name}", [_count(run, (*place, "counts", name)) for run in runs])
            for name in classes
        ]
    scanner = [say((run.fact("data", "privacy", "scanner", "sha256") or "")[:12]) for run in runs]
    rows.append(("scanner, SHA-256", scanner))
    bound = privacy_bound(runs)
    scan = facts("Identifiers of people, by class", labels, rows)
    notes = ["What this scanner did not find may be there all the same."]
    return Section("privacy", "Privacy", [scan, *([bound] if bound else [])], notes)


def _split(split: str, runs: Sequence[Run], labels: Sequence[str]) -> Table:
    rows = [
        (name, [_audited(run, *(part.format(split=split) for part in place)) for run in runs])
        for name, place in _AUDIT
    ]
    title = {"train": "Training file", "eval": "Evaluation file"}[split]
    return facts(title, labels, rows)


def _contamination(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Table]:
    suites = dict.fromkeys(
        name for run in runs for name in run.fact("data", "audit", "contamination") or {}
    )
    rows = [
        (
            f"{suite}: {name}",
            [_audited(run, "contamination", suite, key) for run in runs],
        )
        for suite in suites
        for name, key in (
            ("prompts", "prompts"),
            ("of these in the training file", "prompts_found"),
        )
    ]
    if rows:
        yield facts("Contamination: prompts of evaluation suites in the data", labels, rows)


def _audited(run: Run, *place: str) -> Cell:
    return say(run.fact("data", "audit", *place))


def _count(run: Run, place: tuple[str, ...]) -> Cell:
    """Return a class's count; a scanned file without it has none."""
    count = run.fact(*place)
    return say(0) if count is None and run.fact(*place[:-2]) is not None else say(count)
