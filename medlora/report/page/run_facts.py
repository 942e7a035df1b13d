"""What the page is told of a run; nothing else is read for it, no data least of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medlora.model.file_names import WEIGHTS
from medlora.report.card_inputs import Subject
from medlora.report.facts import FACTS, facts_bytes
from medlora.report.human_statements import from_facts
from medlora.report.manifest_schema import RunManifest
from medlora.report.sourced_numbers import Document, document


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        label: what the page calls it; no two runs of a page have the same.
        manifest: of its final/ or rejected/, every digest of which was checked.
        metrics: the metrics.jsonl beside that manifest.
        evaluations: reports on its adapter.
        memory: its memory-audit.json, if there is one about this adapter.
    """

    label: str
    manifest: RunManifest
    metrics: bytes
    evaluations: Sequence[Document] = ()
    memory: Document | None = None

    def fact(self, *names: str) -> Any:  # noqa: ANN401  (any JSON value)
        """Return what the manifest has under these names, None where it has nothing."""
        value: Any = self.manifest
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    @property
    def adapter(self) -> str:
        """The SHA-256 of the adapter's weights."""
        return str(self.fact("files", WEIGHTS))

    @property
    def subject(self) -> Subject:
        """The run as its cards see it."""
        facts = document(FACTS, facts_bytes(self.manifest, self.manifest["files"]))
        return Subject(facts, self.evaluations, from_facts(self.manifest.get("statements")))

    @property
    def verdict(self) -> str | None:
        """The gate's verdict, None where there was no gate."""
        gate = self.manifest.get("gate")
        return gate["verdict"] if gate else None
