"""The privacy scan before a training: what is found is counted, told by place, and may refuse.

A file is scanned once: what was found is kept beside the tokens under a digest of the file, the
columns and the scanner itself.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medlora.config import RunConfig
from medlora.data.data_files import DataFiles
from medlora.data.formats.joined_files import Source
from medlora.data.privacy.classes import STRUCTURED
from medlora.data.privacy.files import Finding, scan_file
from medlora.data.privacy.report import Summary, ordered, place, scanner_facts
from medlora.data.privacy.schema import PrivacyFacts
from medlora.errors import ConfigError, RejectedError, StorageError, listed
from medlora.files import (
    DamagedError,
    make_folder,
    proven_bytes,
    read_proven,
    remove,
    sha256_json,
    write_bytes,
)
from medlora.inputs.prepare import by_split
from medlora.logs import logger

_log = logger(__name__)
SCANS = ".scans"  # beside the tokens
_KEEP = 16  # files' results
_FIX = (
    "`medlora scan {file} --redact OUT` writes a copy with labels in their place; "
    "data.privacy: warn accepts them as they are"
)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What was found in each file, and what the config makes of it."""

    policy: str
    summaries: dict[str, Summary]

    def facts(self) -> PrivacyFacts:
        """Return what a manifest states."""
        if self.policy == "off":
            return {"policy": self.policy}
        return {
            "policy": self.policy,
            "scanner": scanner_facts(),
            "files": {split: summary.facts() for split, summary in self.summaries.items()},
        }

    def refuse(self) -> None:
        """Raise if the policy does not take the data.

        Raises:
            RejectedError: the policy is `block` and a file has identifiers with a form of their
                own.
        """
        if self.policy == "block":
            for summary in self.summaries.values():
                _refuse(summary)


def check_privacy(files: DataFiles, sha256: dict[str, str], cfg: RunConfig) -> PrivacyFacts:
    """Scan the rows of a run and return what its manifest states of that.

    Raises:
        RejectedError: the policy is `block` and a file has identifiers with a form of their own.
        StorageError: a file cannot be read, is being changed, or the result cannot be kept.
    """
    scanned = scan_files(files, sha256, cfg)
    scanned.refuse()
    return scanned.facts()


def scan_files(files: DataFiles, sha256: dict[str, str], cfg: RunConfig) -> Scanned:
    """Scan the rows of a run, unless the policy is `off`, and say what was found."""
    policy = cfg.data.privacy
    if policy == "off":
        _log.info("privacy: not scanned: data.privacy is off")
        return Scanned(policy, {})
    summaries = {
        split: _summary(file, sha256[split], cfg) for split, file in by_split(files).items()
    }
    for summary in summaries.values():
        _tell(summary)
    return Scanned(policy, summaries)


def _summary(file: Source, sha256: str, cfg: RunConfig) -> Summary:
    """Return what a file has, from the earlier scan if there was one."""
    columns = cfg.data.columns
    key = sha256_json(
        {
            "data": [sha256, file.read_as],
            "columns": columns.model_dump(),
            "scanner": scanner_facts(),
        }
    )
    folder = Path(cfg.cache_dir) / SCANS
    make_folder(folder, private=True)
    kept = _kept(folder / f"{key}.json", file)
    if kept:
        return kept
    began, summary, sound = time.monotonic(), Summary(file), True
    for scanned in scan_file(file, columns, sha256=sha256):
        summary.add(scanned)
        sound = sound and not scanned.problems
    if not sound:  # the whole file is about to be refused, with each line's problem
        return Summary(file, scanned=False)
    _log.info("privacy: %s rows scanned in %.1f s", f"{summary.rows:,}", time.monotonic() - began)
    write_bytes(folder / f"{key}.json", _as_json(summary))
    _tidy(folder)
    return summary


def _as_json(summary: Summary) -> bytes:
    stated = {
        **summary.facts(),
        "first": summary.first,
        "first_structured": summary.first_structured,
    }
    return proven_bytes(stated)


def _kept(path: Path, file: Source) -> Summary | None:
    """Return an earlier result that proves itself."""
    try:
        stated = read_proven(path)
    except DamagedError:
        return None
    first, structured = (
        [Finding(*values) for values in stated[name]] for name in ("first", "first_structured")
    )
    counts = Counter(stated["counts"])
    return Summary(file, stated["rows"], stated["rows_with"], counts, first, structured)


def _tidy(folder: Path) -> None:
    """Delete all but the newest results."""
    results = sorted(folder.glob("*.json"), key=_changed_at, reverse=True)
    for path in results[_KEEP:]:
        try:
            remove(path)
        except StorageError as error:  # it may be another user's; it is in nobody's way
            _log.warning("an old scan could not be deleted: %s", error.headline)


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _tell(summary: Summary) -> None:
    """Log what was found: nothing as a fact, anything as a warning."""
    name = summary.file.name
    if not summary.scanned:
        _log.warning("privacy: %s is not scanned: it cannot be read as rows", name)
        return
    if not summary.counts:
        _log.info("privacy: no identifiers found in %s (this scanner can miss some)", name)
        return
    counts = ", ".join(f"{n:,} {label}" for label, n in ordered(summary.counts).items())
    _log.warning(
        "privacy: identifiers found by this scanner in %s: %s (%d of %d rows)",
        name,
        counts,
        summary.rows_with,
        summary.rows,
    )


def _refuse(summary: Summary) -> None:
    if not summary.structured:
        return
    counts = {label: n for label, n in summary.counts.items() if label in STRUCTURED}
    classes = ", ".join(f"{n:,} {label}" for label, n in ordered(counts).items())
    raise RejectedError(
        listed(
            [place(summary.file, finding) for finding in summary.first_structured],
            what=f"{summary.file} has identifiers of people ({classes}), which data.privacy: "
            "block refuses",
            count=summary.structured,
        ),
        fix=_FIX.format(file=summary.file),
    )


def check_one_example_a_row(cfg: RunConfig, changes: Mapping[str, int]) -> None:
    """Refuse rows that are several examples where what one row may tell is limited.

    Raises:
        ConfigError: there are some, and privacy.dp is set.
    """
    rows = changes.get("rows_taught_turn_by_turn", 0)
    if cfg.is_private and rows:
        raise ConfigError(
            f"privacy.dp protects single examples, but this chat template splits {rows} rows into "
            "several examples each, one per turn: such a row would be protected too little",
            fix="put each turn into a row of its own, with the same value of data.group_by, and "
            "let privacy.dp protect those; or use a base whose chat template renders earlier "
            "turns as it renders the last one",
        )
