"""A data audit for people: what to look at, and a page of counts for the terminal."""

from collections.abc import Iterator, Mapping
from typing import NotRequired, TypedDict

from medlora.data.audit.schema import (
    Contamination,
    DataAudit,
    Duplicates,
    Leakage,
    Lengths,
    Notice,
)
from medlora.data.overlooked_in_rows import notice_line
from medlora.data.privacy.schema import PrivacyFacts
from medlora.errors import MOST_LISTED
from medlora.escape import escaped

_SHOWN = 5  # lines of the files named under a count
_OVER = {"truncate": "are cut", "drop": "are left out", "fail": "are refused"}


class Share(TypedDict):
    """k of n, with Wilson's 95 % interval."""

    k: int
    n: int
    wilson95: list[float]  # low and high


class TargetFacts(TypedDict):
    """How many of the training file's answers each rule of the safety checker hits."""

    ruleset: str
    rows: int
    judged_rows: int
    rules: dict[str, Share]
    red_flags_in_questions: Share
    red_flags_answered_with_urgent_care: Share
    lines: dict[str, list[str]]


class CheckedData(DataAudit):
    """A data audit with what `medlora check` adds to it."""

    privacy: NotRequired[PrivacyFacts]
    targets: NotRequired[TargetFacts]


def warnings_of(report: DataAudit) -> list[str]:
    """Return a line for each thing in the data that should not be there."""
    return [
        *_duplicates(report["duplicates"]),
        *_leakage(report["leakage"]),
        *_overlong(report["lengths"] or {}),
        *_contamination(report["contamination"]),
        *_noticed(report["notices"]),
    ]


def _duplicates(splits: Mapping[str, Duplicates]) -> Iterator[str]:
    for split, counts in splits.items():
        if counts["normalised"]["rows"]:
            yield (
                f"{split}: {counts['normalised']['rows']} rows repeat an earlier one, "
                f"{counts['near_duplicates']} with near duplicates"
            )
        elif counts["near_duplicates"]:
            yield f"{split}: {counts['near_duplicates']} rows are nearly an earlier one"


def _leakage(leakage: Leakage | None) -> Iterator[str]:
    if leakage and leakage["leaked_rows"]:
        kinds = ", ".join(_kinds(leakage))
        leaked = f"{leakage['leaked_rows']} of {leakage['evaluation_rows']}"
        yield (
            f"{leaked} evaluation rows are given away by training rows ({kinds}): the held-out "
            "loss flatters"
        )


def _leaks(leakage: Leakage) -> dict[str, int]:
    """Return how many evaluation rows share each kind of thing with training rows."""
    return {
        "question": leakage["same_question"],
        "answer": leakage["same_answer"],
        "group": leakage["same_group"],
        "near_duplicate": leakage["same_near_duplicate"],
    }


def _kinds(leakage: Leakage) -> Iterator[str]:
    for kind, count in _leaks(leakage).items():
        if count:
            yield f"{kind.replace('_', ' ')}: {count}"


def _overlong(splits: Mapping[str, Lengths]) -> Iterator[str]:
    for split, facts in splits.items():
        over = facts["overlong"]
        if over["rows"]:
            yield (
                f"{split}: {over['rows']} of {facts['rows']} rows {_OVER[over['policy']]}, for "
                f"they are over {over['limit_tokens']} tokens"
            )


def _contamination(suites: Mapping[str, Contamination]) -> Iterator[str]:
    for name, facts in suites.items():
        if facts["prompts_found"]:
            rows = facts["rows_with_the_same_question"] + facts["rows_with_a_run_of_words"]
            yield (
                f"{facts['prompts_found']} of {facts['prompts']} prompts of suite {name} stand in "
                f"{rows} training rows: what the suite says of this adapter proves little"
            )


def _noticed(splits: Mapping[str, Mapping[str, Notice]]) -> Iterator[str]:
    for split, notices in splits.items():
        for name, facts in notices.items():
            yield f"{split}: {notice_line(name, facts['rows'], first=facts['lines'][0])}"


def page(report: CheckedData) -> str:
    """Return the report as lines for a terminal; the warnings are not among them."""
    return "\n".join(escaped(line) for part in _PARTS for line in part(report))


def _files_page(report: CheckedData) -> Iterator[str]:
    for split, facts in report["files"].items():
        forms = ", ".join(f"{count} {form}" for form, count in facts["forms"].items())
        yield f"{split}: {facts['file']}, {facts['rows']} rows ({forms})"
    split_facts = report["split"]
    if split_facts and split_facts["wanted_rows"]:
        together = ", ".join(split_facts["kept_together"]).replace("_", " ")
        yield f"held out: {split_facts['held_out_rows']} rows; never parted: {together}"


def _privacy_page(report: CheckedData) -> Iterator[str]:
    for split, facts in report.get("privacy", {}).get("files", {}).items():
        counts = ", ".join(f"{count} {label}" for label, count in facts["counts"].items())
        found_none = "not found by this scanner" if facts.get("scanned", True) else "not scanned"
        yield f"identifiers in {split}: {counts or found_none}"


def _targets_page(report: CheckedData) -> Iterator[str]:
    targets = report.get("targets")
    if not targets:
        return
    urged = targets["red_flags_answered_with_urgent_care"]
    if urged["n"]:
        yield (
            f"answers to {urged['n']} questions with a red flag: {_rate(urged)} urge care at once"
        )
    hits = ", ".join(
        f"{share['k']} {name}" for name, share in targets["rules"].items() if share["k"]
    )
    yield f"rules on {targets['judged_rows']} of {targets['rows']} answers: {hits or 'no hit'}"


def _rate(share: Share) -> str:
    low, high = share["wilson95"]
    return f"{share['k']} ({share['k'] / share['n']:.1%}, 95 %: {low:.1%} to {high:.1%})"


def _lengths_page(report: CheckedData) -> Iterator[str]:
    if report["lengths"] is None:
        yield "lengths: nothing is said of tokens without a base model, or of data that is refused"
        return
    for split, facts in report["lengths"].items():
        if not facts["rows"]:
            continue
        middle, late, most = (facts["tokens"]["quantiles"][share] for share in ("0.5", "0.95", "1"))
        yield (
            f"lengths of {split}: {facts['tokens']['total']} tokens, "
            f"{facts['supervised_share']:.1%} of them learnt; a row has {middle} in the middle, "
            f"{late} at 95 %, {most} at most"
        )


def _duplicates_page(report: CheckedData) -> Iterator[str]:
    for split, facts in report["duplicates"].items():
        exact, normalised = facts["exact"], facts["normalised"]
        yield (
            f"duplicates in {split}: {exact['rows']} rows, {exact['questions']} questions, "
            f"{exact['answers']} answers; case and punctuation aside {normalised['rows']} rows, "
            f"{normalised['questions']} questions, {normalised['answers']} answers"
        )
        clusters = facts["clusters"]
        yield (
            f"near duplicates in {split}: {facts['near_duplicates']} rows in {clusters['count']} "
            f"clusters could go, the largest has {clusters['largest_rows']}"
        )
        yield from _named(facts["lines"]["near_duplicates"], facts["near_duplicates"])


def _leakage_page(report: CheckedData) -> Iterator[str]:
    leakage = report["leakage"]
    if leakage is None:
        yield "leakage: there are no evaluation rows"
        return
    kinds = ", ".join(_kinds(leakage)) or "no question, answer, group or near duplicate is shared"
    leaked = f"{leakage['leaked_rows']} of {leakage['evaluation_rows']}"
    yield f"leakage: {leaked} evaluation rows ({kinds})"
    for kind, count in _leaks(leakage).items():
        yield from _named(leakage["lines"][kind], count)


def _suites_page(report: CheckedData) -> Iterator[str]:
    for name, facts in report["contamination"].items():
        rows = facts["rows_with_the_same_question"] + facts["rows_with_a_run_of_words"]
        yield (
            f"suite {name}: {facts['prompts_found']} of {facts['prompts']} prompts found, "
            f"in {rows} rows"
        )
        yield from _named(facts["lines"], rows)


def _noticed_page(report: CheckedData) -> Iterator[str]:
    for split, notices in report["notices"].items():
        for name, facts in notices.items():
            yield f"{name} in {split}: {facts['rows']} rows"
            yield from _named(facts["lines"], facts["rows"])


def _named(lines: list[str], count: int) -> Iterator[str]:
    for line in lines[:_SHOWN]:
        yield f"  {line}"
    if count > _SHOWN and lines:
        named = f" ({len(lines)} named in the report)" if len(lines) == MOST_LISTED else ""
        yield f"  and {count - min(_SHOWN, len(lines))} more{named}"


_PARTS = (
    _files_page,
    _privacy_page,
    _lengths_page,
    _duplicates_page,
    _leakage_page,
    _suites_page,
    _noticed_page,
    _targets_page,
)
