"""A data audit for people: what to look at, and a page of counts for the terminal."""

from collections.abc import Iterator
from typing import Any

from medlora.data.notices import told
from medlora.errors import MOST_LISTED
from medlora.escape import escaped

_SHOWN = 5  # lines of the files named under a count
_OVER = {"truncate": "are cut", "drop": "are left out", "fail": "are refused"}
_LEAKS = ("question", "answer", "group", "near_duplicate")


def warnings_of(report: dict[str, Any]) -> list[str]:
    """Return a line for each thing in the data that should not be there."""
    return [
        *_duplicates(report["duplicates"]),
        *_leakage(report["leakage"]),
        *_overlong(report["lengths"] or {}),
        *_contamination(report["contamination"]),
        *_noticed(report["notices"]),
    ]


def _duplicates(found: dict[str, Any]) -> Iterator[str]:
    for split, counts in found.items():
        if counts["normalised"]["rows"]:
            yield (
                f"{split}: {counts['normalised']['rows']} rows repeat an earlier one, "
                f"{counts['near_duplicates']} with near duplicates"
            )
        elif counts["near_duplicates"]:
            yield f"{split}: {counts['near_duplicates']} rows are nearly an earlier one"


def _leakage(found: dict[str, Any] | None) -> Iterator[str]:
    if found and found["leaked_rows"]:
        kinds = ", ".join(_leaks(found))
        yield (
            f"{found['leaked_rows']} of {found['evaluation_rows']} evaluation rows are given away "
            f"by training rows ({kinds}): the held-out loss flatters"
        )


def _leaks(found: dict[str, Any]) -> Iterator[str]:
    for kind in _LEAKS:
        if found[f"same_{kind}"]:
            yield f"{kind.replace('_', ' ')}: {found[f'same_{kind}']}"


def _overlong(splits: dict[str, Any]) -> Iterator[str]:
    for split, facts in splits.items():
        over = facts["overlong"]
        if over["rows"]:
            yield (
                f"{split}: {over['rows']} of {facts['rows']} rows {_OVER[over['policy']]}, for "
                f"they are over {over['limit_tokens']} tokens"
            )


def _contamination(suites: dict[str, Any]) -> Iterator[str]:
    for name, facts in suites.items():
        if facts["prompts_found"]:
            rows = facts["rows_with_the_same_question"] + facts["rows_with_a_run_of_words"]
            yield (
                f"{facts['prompts_found']} of {facts['prompts']} prompts of suite {name} stand in "
                f"{rows} training rows: what the suite says of this adapter proves little"
            )


def _noticed(splits: dict[str, Any]) -> Iterator[str]:
    for split, found in splits.items():
        for name, facts in found.items():
            yield f"{split}: {told(name, facts['rows'], first=facts['lines'][0])}"


def page(report: dict[str, Any]) -> str:
    """Return the report as lines for a terminal; the warnings are not among them."""
    return "\n".join(escaped(line) for part in _PARTS for line in part(report))


def _files_page(report: dict[str, Any]) -> Iterator[str]:
    for split, facts in report["files"].items():
        forms = ", ".join(f"{count} {form}" for form, count in facts["forms"].items())
        yield f"{split}: {facts['file']}, {facts['rows']} rows ({forms})"
    split_facts = report["split"]
    if split_facts and split_facts["wanted_rows"]:
        together = ", ".join(split_facts["kept_together"]).replace("_", " ")
        yield f"held out: {split_facts['held_out_rows']} rows; never parted: {together}"


def _privacy_page(report: dict[str, Any]) -> Iterator[str]:
    found = report.get("privacy", {})
    for split, facts in found.get("files", {}).items():
        counts = ", ".join(f"{count} {label}" for label, count in facts["counts"].items())
        found_none = "not found by this scanner" if facts.get("scanned", True) else "not scanned"
        yield f"identifiers in {split}: {counts or found_none}"


def _targets_page(report: dict[str, Any]) -> Iterator[str]:
    found = report.get("targets")
    if not found:
        return
    urged = found["red_flags_answered_with_urgent_care"]
    if urged["n"]:
        yield (
            f"answers to {urged['n']} questions with a red flag: {_rate(urged)} urge care at once"
        )
    hits = ", ".join(f"{share['k']} {name}" for name, share in found["rules"].items() if share["k"])
    yield f"rules on {found['judged_rows']} of {found['rows']} answers: {hits or 'no hit'}"


def _rate(share: dict[str, Any]) -> str:
    low, high = share["wilson95"]
    return f"{share['k']} ({share['k'] / share['n']:.1%}, 95 %: {low:.1%} to {high:.1%})"


def _lengths_page(report: dict[str, Any]) -> Iterator[str]:
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


def _duplicates_page(report: dict[str, Any]) -> Iterator[str]:
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


def _leakage_page(report: dict[str, Any]) -> Iterator[str]:
    found = report["leakage"]
    if found is None:
        yield "leakage: there are no evaluation rows"
        return
    kinds = ", ".join(_leaks(found)) or "no question, answer, group or near duplicate is shared"
    yield f"leakage: {found['leaked_rows']} of {found['evaluation_rows']} evaluation rows ({kinds})"
    for kind in _LEAKS:
        yield from _named(found["lines"][kind], found[f"same_{kind}"])


def _suites_page(report: dict[str, Any]) -> Iterator[str]:
    for name, facts in report["contamination"].items():
        rows = facts["rows_with_the_same_question"] + facts["rows_with_a_run_of_words"]
        yield (
            f"suite {name}: {facts['prompts_found']} of {facts['prompts']} prompts found, "
            f"in {rows} rows"
        )
        yield from _named(facts["lines"], rows)


def _noticed_page(report: dict[str, Any]) -> Iterator[str]:
    for split, found in report["notices"].items():
        for name, facts in found.items():
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
