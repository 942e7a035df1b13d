"""The audit of one or two files, whole: made once, kept, found by what it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medlora.config import DataConfig
from medlora.data.audit.near import near_duplicates
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, FileFacts, Shingles, read_facts
from medlora.data.audit.row_facts import FACT, FactMaker, Facts
from medlora.data.audit.schema import AuditCounts
from medlora.data.cache import Entry, open_entry
from medlora.data.token_store import mapped, proved
from medlora.files import NewFolder, sha256_json, write_manifest

FORMAT = 2
_ROWS = "rows"
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Audited:
    """The facts of all rows: those of the training file, then those of the evaluation file."""

    rows: Facts  # FACT [N]

    def of(self, counts: Mapping[str, int]) -> dict[str, Facts]:
        """Return the rows of each split's file, of which these are the counts."""
        rows, start = {}, 0
        for split, count in counts.items():
            rows[split] = self.rows[start : start + count]
            start += count
        return rows


def audit(
    files: dict[str, DataFile], cfg: DataConfig, prompts: Prompts, *, root: Path
) -> Entry[Audited]:
    """Return the audit of files, made now or earlier.

    Args:
        files: {split: its file}, `train` first.
        cfg: the data section.
        prompts: of the evaluation suites, looked for in the training file.
        root: the folder of the cache.

    Raises:
        DataError: any row is unusable.
        StorageError: the files cannot be read or the audit cannot be kept.
    """
    key = _key(files, cfg, prompts)

    def make(folder: NewFolder) -> None:
        rows, facts = _read(files, cfg, prompts)
        for start in range(0, max(len(rows), 1), _CHUNK):
            folder.append(_ROWS, rows[start : start + _CHUNK].tobytes())
        write_manifest(folder, {"format": FORMAT, "key": key, **facts})

    return open_entry(root, key, make, _open)


def _open(folder: Path, *, key: str) -> tuple[Audited, dict[str, Any]]:
    manifest = proved(folder, (_ROWS,), key=key)
    return Audited(mapped(folder / _ROWS, FACT)), manifest


def _key(files: dict[str, DataFile], cfg: DataConfig, prompts: Prompts) -> str:
    return sha256_json(
        {
            "format": FORMAT,
            "data": {split: [file.sha256, file.path.read_as] for split, file in files.items()},
            "form": cfg.format,
            "columns": cfg.columns.model_dump(),
            "group_by": cfg.group_by,
            "suites": dict(prompts.suites),
            "prompts": sorted((digest, list(them)) for digest, them in prompts.equal.items()),
        }
    )


def _read(
    files: dict[str, DataFile], cfg: DataConfig, prompts: Prompts
) -> tuple[Facts, AuditCounts]:
    makers = {
        split: FactMaker(
            cfg.format, cfg.columns, cfg.group_by, prompts if split == "train" else Prompts()
        )
        for split in files
    }
    parts = {split: read_facts(file, makers[split]) for split, file in files.items()}
    rows = np.concatenate([part.rows for part in parts.values()])
    sketches = np.concatenate([part.sketches for part in parts.values()])
    facts = _facts(parts)
    texts = [(files[split].path, part.rows) for split, part in parts.items()]
    del parts  # their sketches are in memory twice otherwise
    rows["near_duplicate"] = near_duplicates(
        sketches, rows["text"], Shingles(texts, makers["train"])
    )
    return rows, facts


def _facts(parts: dict[str, FileFacts]) -> AuditCounts:
    return {
        "rows": {split: len(part.rows) for split, part in parts.items()},
        "forms": {split: part.forms for split, part in parts.items()},
        "notices": {
            split: {name: noticed.facts() for name, noticed in sorted(part.notices.items())}
            for split, part in parts.items()
        },
        "contamination": {name: suite.facts() for name, suite in parts["train"].suites.items()},
    }
