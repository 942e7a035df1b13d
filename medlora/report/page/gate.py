"""The gate's rules, each with its verdict."""

from collections.abc import Sequence

from medlora.evaluate.schema import GateRule, JudgedRate, Unscored
from medlora.report.page.rate_cells import change_cell, rate_cell, run_cell, run_header
from medlora.report.page.run_facts import Run
from medlora.report.page.table import Cell, Section, Table, say, verdict


def gate(runs: Sequence[Run]) -> Section:
    """Return each rule of the gate with its verdict."""
    rows = [
        [Cell(_rule_name(rule)), *run_cell(run, runs), *_rule_cells(rule)]
        for run in runs
        for rule in run.fact("gate", "rules") or ()
    ]
    header = ["rule", *run_header(runs), "suite", "base", "adapter", "verdict"]
    notes = ["A rule passes only where the whole interval is on the right side of its threshold."]
    if not rows:
        return Section("gate", "Gate", notes=["No gate was configured: nothing was asked of it."])
    return Section("gate", "Gate", [Table("Rules", header, rows)], notes)


def _rule_name(rule: GateRule) -> str:
    of = f" of {rule['measure']}" if rule["rule"] == "max_drop" and "measure" in rule else ""
    return f"{rule['rule']}{of} {rule['threshold']:g}"


def _rule_cells(rule: GateRule) -> list[Cell]:
    figures = [_judged(rule.get("base")), _judged(rule.get("adapter"))]
    if "change" in rule:
        figures = [say(None), change_cell(rule["change"])]
    return [Cell(str(rule.get("suite", ""))), *figures, verdict(rule.get("verdict"))]


def _judged(rate: JudgedRate | Unscored | None) -> Cell:
    if rate and "not_scored" in rate:
        return Cell("not scored", "bad")
    return rate_cell(rate)
