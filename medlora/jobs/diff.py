"""`medlora diff`: what changed from one finished run to another, on a terminal and on record."""

from pathlib import Path

from medlora.files import json_bytes, write_bytes
from medlora.logs import show
from medlora.model.file_names import WEIGHTS
from medlora.report.change import Side, change_record
from medlora.report.change_page import as_page, as_table
from medlora.report.human_statements import from_facts, read_statements
from medlora.runs.cards import gate_reports
from medlora.runs.finished import final_of, finished_manifest


def run(
    before: Path,
    after: Path,
    *,
    statements: Path | None = None,
    as_json: Path | None = None,
    output: Path | None = None,
) -> None:
    """Print what differs; write the record where it is asked for.

    Args:
        before: the earlier run's folder, or its final/ or rejected/.
        after: the later one's.
        statements: what people say of the change; else what the later run was given.
        as_json: file for the record as JSON.
        output: file for the record as Markdown.

    Raises:
        MissingPartError: there is no finished run.
        IntegrityError: a run is damaged.
        ConfigError: the statements cannot be used.
    """
    record = change_record(_side(before), _side(after, statements))
    if as_json:
        write_bytes(as_json, json_bytes(record))
    if output:
        write_bytes(output, as_page(record))
    show(*as_table(record).split("\n"))


def _side(folder: Path, statements: Path | None = None) -> Side:
    final = final_of(folder)
    manifest = finished_manifest(final)
    files = manifest["files"]
    report = next(iter(gate_reports(final, files)), None)
    stated = read_statements(statements) if statements else from_facts(manifest.get("statements"))
    return Side(manifest, files[WEIGHTS], report, stated)
