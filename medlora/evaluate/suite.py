"""A suite: one file of items, all of one kind."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Suite:
    """One file's items, of one kind."""

    file: Path
    kind: str  # the name of one of `kinds.registry`
    sha256: str
    rows: int  # in the file
    items: tuple[Any, ...]  # of the kind's own class

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.file.stem

    def first(self, limit: int | None) -> "Suite":
        """Return the suite with so many of its first items at most."""
        return self if limit is None else replace(self, items=self.items[:limit])
