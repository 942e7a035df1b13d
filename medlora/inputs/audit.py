"""The data audit of a run: made before training and by `medlora check`, kept, stated.

One report, in JSON values: no row's text, no folder's name; the same inputs give the same bytes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from medlora.config import DataConfig, RunConfig
from medlora.data.audit.audit import Audited, audit
from medlora.data.audit.duplicates import duplicates
from medlora.data.audit.leakage import leakage
from medlora.data.audit.lengths import lengths
from medlora.data.audit.overlap import look_for
from medlora.data.audit.read import DataFile
from medlora.data.audit.row_facts import Facts
from medlora.data.audit.schema import (
    AuditCounts,
    Contamination,
    DataAudit,
    Leakage,
    Lengths,
    LineCount,
    Notice,
    Overlap,
)
from medlora.data.cache import Entry
from medlora.data.data_files import DataFiles
from medlora.data.formats.joined_files import Source
from medlora.data.linked_rows import Keys
from medlora.data.split import Split
from medlora.errors import DataError
from medlora.files import json_bytes, sha256_bytes, write_bytes
from medlora.inputs.prepare import InputFiles, Prepared, Tokenized, by_split, chosen_rows, prepare
from medlora.inputs.suites import prompts_of
from medlora.logs import logger
from medlora.report.audit import warnings_of
from medlora.report.manifest_schema import StatedAudit

_log = logger(__name__)
AUDITS, REPORT = ".audits", "data_audit.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known of the rows of both files."""

    files: dict[str, Source]
    sha256: dict[str, str]
    entry: Entry[Audited]
    rows: dict[str, Facts] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", self.entry.table.of(self.counts["rows"]))

    @property
    def counts(self) -> AuditCounts:
        """What was counted of them."""
        return cast("AuditCounts", self.entry.manifest)

    @property
    def near(self) -> Keys:
        """The cluster of near duplicates of each training row, 0 for none."""
        near: Keys = self.rows["train"]["near_duplicate"]
        return near


def audit_files(
    files: DataFiles, sha256: dict[str, str], cfg: RunConfig, *, suites: tuple[Path, ...] = ()
) -> Audit:
    """Read both files and return what is known of their rows, or find it done.

    Args:
        files: of the run.
        sha256: the digest of each by its split.
        cfg: the run's config.
        suites: files whose prompts are looked for in the training file, beside our own and the
            gate's.

    Raises:
        DataError: a row is unusable.
        StorageError: the audit cannot be kept in the cache's folder.
    """
    began, places = time.monotonic(), by_split(files)
    entry = audit(
        {split: DataFile(file, sha256[split]) for split, file in places.items()},
        cfg.data,
        look_for(prompts_of([*cfg.gate.suites, *suites], folder=files.train.folder)),
        root=Path(cfg.cache_dir) / AUDITS,
    )
    how = f"in {time.monotonic() - began:.1f} s" if entry.made else "from the cache"
    _log.info("audit: %s rows %s", f"{len(entry.table.rows):,}", how)
    return Audit(places, sha256, entry)


def prepare_as_trained(input_files: InputFiles, cfg: RunConfig) -> Prepared:
    """Return the rows of both splits as `train` takes them: near duplicates decide the split too.

    Raises:
        DataError: as `prepare`.
    """
    return prepare(
        input_files, cfg, near=audit_files(input_files.data, input_files.sha256, cfg).near
    )


def report_on(
    audit: Audit, cfg: RunConfig, *, split: Split | None, tokenized: Tokenized | None = None
) -> DataAudit:
    """Return the report.

    Args:
        audit: what is known of the rows.
        cfg: the run's config.
        split: which rows are held out, None where there is an evaluation file.
        tokenized: the rows as tokens; without them nothing is said of lengths.
    """
    names = {name: file.name for name, file in audit.files.items()}
    counts = audit.counts
    report: DataAudit = {
        "schema": SCHEMA,
        "kind": "data_audit",
        "files": {
            name: {
                "file": names[name],
                "sha256": audit.sha256[name],
                "rows": counts["rows"][name],
                "forms": counts["forms"][name],
            }
            for name in names
        },
        "lengths": _lengths(tokenized, cfg.data, split) if tokenized else None,
        "duplicates": {
            name: duplicates(rows, place=audit.files[name].short_place)
            for name, rows in audit.rows.items()
        },
        "split": split.facts if split else None,
        "leakage": _leakage(audit.rows, audit.files, split),
        "notices": {
            name: _noticed(counts["notices"][name], file) for name, file in audit.files.items()
        },
        "contamination": _contamination(counts["contamination"], audit.files["train"]),
        "warnings": [],
    }
    return {**report, "warnings": warnings_of(report)}


def _lengths(tokenized: Tokenized, cfg: DataConfig, split: Split | None) -> dict[str, Lengths]:
    return {
        name: lengths(table, chosen, max_length=tokenized.limit, overlong=cfg.overlong)
        for name, (table, chosen) in chosen_rows(tokenized, split).items()
    }


def _leakage(
    rows: dict[str, Facts], files: dict[str, Source], split: Split | None
) -> Leakage | None:
    """Return what evaluation rows share with training rows, None where there are none."""
    train = rows["train"]
    if split is None:
        places = (files["train"].short_place, files["eval"].short_place)
        return leakage(train, rows["eval"], places=places)
    if not len(split.held):
        return None
    places = (files["train"].short_place, files["train"].short_place)
    return leakage(train[split.train], train[split.held], places=places)


def _noticed(counts: Mapping[str, LineCount], file: Source) -> dict[str, Notice]:
    return {
        name: {"rows": count["rows"], "lines": _places(count["lines"], file)}
        for name, count in counts.items()
    }


def _contamination(suites: Mapping[str, Overlap], file: Source) -> dict[str, Contamination]:
    return {
        name: {
            "prompts": overlap["prompts"],
            "prompts_found": overlap["prompts_found"],
            "rows_with_the_same_question": overlap["rows_with_the_same_question"],
            "rows_with_a_run_of_words": overlap["rows_with_a_run_of_words"],
            "lines": _places(overlap["lines"], file),
        }
        for name, overlap in suites.items()
    }


def _places(lines: Sequence[int], file: Source) -> list[str]:
    return [file.short_place(line) for line in lines]


def refuse_leakage(report: DataAudit, cfg: DataConfig) -> None:
    """Raise if the config does not want evaluation rows that the training rows give away.

    Raises:
        DataError: there are some, and data.leakage is fail.
    """
    leaked = report["leakage"]["leaked_rows"] if report["leakage"] else 0
    if leaked and cfg.leakage == "fail":
        raise DataError(
            f"{leaked} evaluation rows are also training rows, and data.leakage is fail",
            fix=f"delete them on one side ({REPORT} and medlora check list their lines), or set "
            "data.leakage: warn",
        )


def keep(report: DataAudit, folder: Path) -> None:
    """Write the report into a run's folder, and say what it warns of."""
    write_bytes(folder / REPORT, json_bytes(report))
    for line in report["warnings"]:
        _log.warning("data: %s", line)


def stated_of(report: DataAudit) -> StatedAudit:
    """Return what a manifest states of the report."""
    stated = {"sha256": sha256_bytes(json_bytes(report)), **_without_lines(report)}
    return cast("StatedAudit", stated)


def _without_lines(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    if not isinstance(value, dict):
        return value
    return {name: _without_lines(inner) for name, inner in value.items() if name != "lines"}
