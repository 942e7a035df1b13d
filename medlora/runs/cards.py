"""The papers that lie beside a run's adapter: facts.json, and two model cards made from it.

They are made of a manifest and of evaluations alone, so that making them again, on another day
and where the data is not, gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medlora.files import read_named, sha256_bytes
from medlora.model.file_names import WEIGHTS
from medlora.report import card, chai
from medlora.report.card_inputs import Subject
from medlora.report.facts import FACTS, facts_bytes
from medlora.report.human_statements import Statements, from_facts
from medlora.report.manifest_schema import RunFacts
from medlora.report.sourced_numbers import Document, document

EVALUATION = "evaluation.json"  # what the gate wrote, where there is one
MEMORY = "memory-audit.json"  # in the folder of a run, beside its final/
PAPERS = (FACTS, card.CARD, chai.CARD)


def gate_reports(folder: Path, files: Mapping[str, str]) -> list[Document]:
    """Return the report that a run's gate wrote; empty where it has no gate.

    Args:
        folder: of the result.
        files: {file name: SHA-256} by its manifest.
    """
    if EVALUATION not in files:
        return []
    return [document(EVALUATION, read_named(folder / EVALUATION, fix="restore it from a copy"))]


def with_papers(files: Mapping[str, bytes], stated: RunFacts) -> dict[str, bytes]:
    """Return the files of a folder with its papers, if it is a finished run's.

    Args:
        files: {file name: content}.
        stated: what its manifest will state.
    """
    if stated.get("kind") != "run":
        return dict(files)
    return {**files, **papers_of(stated, files)}


def papers_of(manifest: RunFacts, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return {file name: content} of a run's papers.

    Args:
        manifest: of the run.
        files: its adapter and, where a gate wrote one, its evaluation.
    """
    known = {WEIGHTS: sha256_bytes(files[WEIGHTS])}
    reports = [document(EVALUATION, files[EVALUATION])] if EVALUATION in files else []
    facts = facts_bytes(manifest, known)
    statements = from_facts(manifest.get("statements"))
    return {FACTS: facts, **cards(facts, reports, statements)}


def cards(
    facts: bytes, evaluations: Sequence[Document], statements: Statements
) -> dict[str, bytes]:
    """Return {file name: content} of both cards.

    Args:
        facts: content of facts.json.
        evaluations: reports of the adapter.
        statements: of people.
    """
    subject = Subject(document(FACTS, facts), evaluations, statements)
    return {card.CARD: card.model_card(subject), chai.CARD: chai.applied_model_card(subject)}
