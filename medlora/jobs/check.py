"""`medlora check`: what is in the data, before anything is trained on it.

A check is a list of sections, each of which adds to the report what it found, and to the errors
what would stop a run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from medlora.config import RunConfig
from medlora.data.locate import DataFiles
from medlora.data.split import Split
from medlora.errors import DataError, RejectedError
from medlora.files import json_bytes, write_bytes
from medlora.jobs.audit import Audit, audit_files, refuse_leakage, report_on
from medlora.jobs.inputs import (
    Tokenized,
    find_files,
    find_inputs,
    fit,
    hold_out_rows,
    split_rows,
    tokenize_files,
)
from medlora.jobs.privacy import scan_files
from medlora.jobs.settings import Plan
from medlora.jobs.targets import judge_targets
from medlora.report.audit import page


@dataclass(slots=True)
class Checked:
    """What the sections have found so far."""

    report: dict[str, Any] = field(default_factory=dict)
    errors: list[DataError | RejectedError] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what would stop a run, and go on."""
        try:
            yield
        except (DataError, RejectedError) as error:
            self.errors.append(error)


def run(plan: Plan, *, suites: tuple[Path, ...] = (), output: Path | None = None) -> None:
    """Check, print a page, write the report if wanted; trains nothing.

    Args:
        plan: what would be run; without a base model nothing is said of tokens.
        suites: files whose prompts must not stand in the data, beside our own.
        output: where the report goes, as JSON.

    Raises:
        DataError: the data cannot be trained on, or the config does not want it to be.
        RejectedError: it has identifiers of people, and data.privacy is `block`.
        MedloraError: with the exit code that says what to mend.
    """
    checked = Checked()
    _check_data(plan, checked, suites=suites)
    verdict = "error" if checked.errors else "warning" if checked.report["warnings"] else "ok"
    report = {
        **checked.report,
        "errors": [str(error).splitlines()[0] for error in checked.errors],
        "verdict": verdict,
    }
    if output:
        write_bytes(output, json_bytes(report))
    for line in checked.lines:
        click.echo(line)
    for warning in report["warnings"]:
        click.echo(f"warning: {warning}")
    click.echo(f"verdict: {verdict}")
    for error in checked.errors:
        raise error


def _check_data(plan: Plan, checked: Checked, *, suites: tuple[Path, ...]) -> None:
    cfg = plan.resolved.config
    found = find_inputs(plan) if plan.has_model else None
    files, sha256 = (found.files, found.sha256) if found else find_files(plan)
    privacy = scan_files(files, sha256, cfg)
    with checked.noting():
        privacy.refuse()
    audit = audit_files(files, sha256, cfg, suites=suites)
    # Tokens are the rows' text in numbers: not kept of what train would not take.
    tokenized = tokenize_files(found, cfg) if found and not checked.errors else None
    split = _split(audit, tokenized, files, cfg)
    report = report_on(audit, cfg, split=split, tokenized=tokenized)
    targets = judge_targets(audit, cfg.data)
    checked.report = {**report, "targets": targets, "privacy": privacy.facts()}
    checked.lines.append(page(checked.report))
    with checked.noting():
        refuse_leakage(checked.report, cfg.data)
    with checked.noting():
        if found and tokenized:
            fit(tokenized, found, cfg, split=split)


def _split(
    audit: Audit, tokenized: Tokenized | None, files: DataFiles, cfg: RunConfig
) -> Split | None:
    if tokenized:
        return split_rows(tokenized, cfg, near=audit.near)
    return None if files.evaluation else hold_out_rows(audit.rows["train"], cfg, near=audit.near)
