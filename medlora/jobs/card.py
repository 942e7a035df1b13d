"""`medlora card`: the model cards of a finished run, with what people state by now."""

from dataclasses import dataclass
from pathlib import Path

from medlora.checkpoint.folder_format import write_checkpoint
from medlora.errors import DataError, IntegrityError, MissingPartError, below
from medlora.files import make_folder, read_named, write_bytes
from medlora.logs import show
from medlora.model.file_names import WEIGHTS
from medlora.report import card, chai
from medlora.report.card_inputs import Field, Subject
from medlora.report.facts import FACTS, facts_bytes
from medlora.report.human_statements import NOT_PROVIDED, from_facts, read_statements
from medlora.report.sourced_numbers import Document, document
from medlora.runs.cards import gate_reports
from medlora.runs.finished import final_of, finished_manifest, home_of

_FOLDER = "card"  # with a manifest of its own, so that `medlora verify` knows it


@dataclass(frozen=True, slots=True)
class CardOptions:
    """What the command line asks for."""

    form: str = "all"
    statements: Path | None = None
    evaluations: tuple[Path, ...] = ()
    strict: bool = False
    output: Path | None = None


def run(folder: Path, options: CardOptions) -> None:
    """Write the cards and the facts that they cite; say what nobody provided.

    Args:
        folder: the run's folder, or its final/ or rejected/.
        options: what to write, from what, and where.

    Raises:
        MissingPartError: there is no finished run; or something is NOT PROVIDED, under strict.
        IntegrityError: the run is damaged, or an evaluation is another adapter's.
        ConfigError: the statements cannot be used.
        DataError: an evaluation cannot be used.
    """
    final = final_of(folder)
    subject, facts = _subject(final, options)
    made = {
        "hf": (card.CARD, card.model_card, card.fields),
        "chai": (chai.CARD, chai.applied_model_card, chai.fields),
    }
    chosen = [made[form] for form in made if options.form in (form, "all")]
    files = {FACTS: facts, **{name: write(subject) for name, write, _ in chosen}}
    output = options.output or home_of(final) / _FOLDER
    if options.output:  # a folder that may hold other things
        make_folder(output)
        for name, content in files.items():
            write_bytes(output / name, content)
    else:
        write_checkpoint(output, files, {"kind": "card", "step": subject.fact("/step")})
    show(f"{', '.join(files)}: {output}")
    _tell_gaps([field for _, _, fields in chosen for field in fields(subject)], options)


def _subject(final: Path, options: CardOptions) -> tuple[Subject, bytes]:
    """Return what the cards are about, and the content of facts.json."""
    manifest = finished_manifest(final)
    facts = facts_bytes(manifest, manifest["files"])
    statements = (
        read_statements(options.statements)
        if options.statements
        else from_facts(manifest.get("statements"))
    )
    reports = gate_reports(final, manifest["files"])
    reports += [_evaluation(path, manifest["files"][WEIGHTS]) for path in options.evaluations]
    return Subject(document(FACTS, facts), reports, statements), facts


def read_evaluation(path: Path) -> Document:
    """Return a report of `medlora evaluate`.

    Raises:
        MissingPartError: there is no such file.
        StorageError: it cannot be read.
        DataError: it is something else.
    """
    report = document(path.name, read_named(path, fix="name a report of `medlora evaluate`"))
    if report.at("/kind") != "evaluation":
        raise DataError(
            f"{path}: not a report of `medlora evaluate`", fix="write one with `medlora evaluate`"
        )
    return report


def _evaluation(path: Path, adapter: str) -> Document:
    """Return a report that is about this adapter."""
    report = read_evaluation(path)
    stated = report.at(f"/adapter/files/{WEIGHTS}")
    if stated != adapter:
        raise IntegrityError(
            f"{path} reports on another adapter: SHA-256 {stated}; this run has {adapter}",
            fix="evaluate this run's adapter",
        )
    return report


def _tell_gaps(fields: list[Field], options: CardOptions) -> None:
    """Say what is NOT PROVIDED, each statement once; refuse under strict."""
    gaps: dict[str, str] = {}
    for field in fields:
        if field.is_gap:
            gaps.setdefault(field.key or field.place, field.place)
    if gaps and options.strict:
        what = f"the card is incomplete, {len(gaps)} statements are {NOT_PROVIDED}:"
        raise MissingPartError(
            below(what, (f"{key}: {place}" for key, place in gaps.items())),
            fix="state them in card.yaml (--statements FILE), one `key: text` per line; results "
            "come from `medlora evaluate`",
        )
    if gaps:
        show(f"{NOT_PROVIDED}: {', '.join(gaps)}")
