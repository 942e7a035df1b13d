"""What an adapter knows by heart, and what differential privacy promises of that."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from medlora.report.markdown import number
from medlora.report.metrics_jsonl import PRIVATE
from medlora.report.page.rate_cells import MODELS, rate_cell, run_cell, run_header
from medlora.report.page.run_facts import Run
from medlora.report.page.table import Cell, Section, Table, code, facts, say

if TYPE_CHECKING:  # the page is drawn where torch takes longer to import than it does
    from medlora.evaluate.memorisation import Continued


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


def privacy_bound(runs: Sequence[Run]) -> Table | None:
    """Return what differential privacy promises, None where no run has it."""
    names = dict.fromkeys(name for run in runs for name in run.fact(PRIVATE) or {})
    if not names:
        return None
    rows = [
        (name.replace("_", " "), [say(run.fact(PRIVATE, name)) for run in runs]) for name in names
    ]
    return facts("Differential privacy", [run.label for run in runs], rows)


def _exposures(asked: Sequence[Run], runs: Sequence[Run]) -> Iterator[Table]:
    rows = [
        [
            Cell(f"{group['copies'] or 'none'}"),
            *run_cell(run, runs),
            say(group["canaries"]),
            *(
                Cell(f"{number(bits['mean'])} [{number(bits['min'])}, {number(bits['max'])}]")
                for bits in (group[who] for who in MODELS)
            ),
        ]
        for run in asked
        for group in _memory(run, "/canaries/by_copies") or ()
    ]
    if rows:
        header = ["copies", *run_header(runs), "canaries", "base", "adapter"]
        yield Table("Exposure of canaries in bits: mean [least, largest]", header, rows)


def _extraction(asked: Sequence[Run], runs: Sequence[Run]) -> Table:
    rows = [
        [
            Cell(f"{_memory(run, '/extraction/match_tokens')} tokens"),
            *run_cell(run, runs),
            *(_extracted(_memory(run, f"/extraction/{who}")) for who in MODELS),
            code((run.memory.sha256 if run.memory else "")[:12]),
        ]
        for run in asked
    ]
    header = ["word for word for", *run_header(runs), "base", "adapter", "report's SHA-256"]
    return Table("Training rows that are continued by heart", header, rows)


def _extracted(continued: "Continued | None") -> Cell:
    if not continued or not continued.get("n"):
        return say(None)
    low, high = continued["wilson95"]
    k, n, rate = continued["extracted"], continued["n"], continued["rate"]
    return rate_cell({"k": k, "n": n, "rate": rate, "low": low, "high": high})


def _memory(run: Run, pointer: str) -> Any:  # noqa: ANN401  (any JSON value)
    return run.memory.at(pointer) if run.memory else None
