"""What people are told of findings: how many, where, of which class; never a word of the text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from medlora.data.formats.joined_files import Source
from medlora.data.privacy.classes import ADVISORY, LABELS, SAFE_HARBOR, STRUCTURED
from medlora.data.privacy.files import Finding, Scanned
from medlora.data.privacy.lists import scanner_digest
from medlora.data.privacy.schema import ScannedFile, Scanner
from medlora.errors import MOST_LISTED

VERSION = 1
RECALL = (
    "recall on synthetic notes and queries: structured classes 0.99 or more, names and places "
    "0.98; lower for names of other countries and text in small letters; no real notes were "
    "measured"
)


@dataclass(slots=True)
class Summary:
    """The findings of a file in numbers, and the first of them that block and that do not."""

    file: Source
    rows: int = 0
    rows_with: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: list[Finding] = field(default_factory=list)
    first_structured: list[Finding] = field(default_factory=list)
    scanned: bool = True  # all of it; a file that cannot be read as rows is not

    def add(self, scanned: Scanned) -> None:
        """Take the findings of another piece; memory stays small however many there are."""
        self.rows += scanned.rows
        self.rows_with += scanned.rows_with
        self.counts += scanned.counts
        structured = [finding for finding in scanned.findings if finding.label in STRUCTURED]
        _keep(self.first, scanned.findings)
        _keep(self.first_structured, structured)

    @property
    def structured(self) -> int:
        """How many findings are of classes that have a form of their own."""
        return sum(count for label, count in self.counts.items() if label in STRUCTURED)

    def facts(self) -> ScannedFile:
        """Return the numbers as a manifest states them."""
        if not self.scanned:
            return {"scanned": False, "rows": 0, "rows_with": 0, "counts": {}}
        return {"rows": self.rows, "rows_with": self.rows_with, "counts": ordered(self.counts)}


def _keep(kept: list[Finding], more: Iterable[Finding]) -> None:
    kept.extend(list(more)[: MOST_LISTED - len(kept)])


def ordered(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts in the order of Safe Harbor's classes."""
    return {label: counts[label] for label in LABELS if counts.get(label)}


def place(file: Source, finding: Finding) -> str:
    """Return `file:line:column: field 'x': LABEL`, the column where the file has one."""
    where = file.place(finding.line)
    if file.as_written:
        where = f"{where}:{finding.column}"
    return f"{where}: field '{finding.field}': {finding.label}"


def scanner_facts() -> Scanner:
    """Return which scanner it was; its digest covers code and lists."""
    return {"version": VERSION, "sha256": scanner_digest()}


def lines(summaries: list[Summary], *, policy: str) -> Iterator[str]:
    """Yield the report of a scan: places, counts by class, what no scanner of text can see."""
    total: Counter[str] = sum((summary.counts for summary in summaries), Counter())
    for summary in summaries:
        yield from (place(summary.file, finding) for finding in summary.first)
        rest = summary.counts.total() - len(summary.first)
        if rest:
            yield f"{summary.file}: and {rest:,} more (--json OUT writes all)"
    for label, count in ordered(total).items():
        effect = "warns" if label in ADVISORY or policy != "block" else "blocks"
        yield f"{label:<12} {count:>8,}  {effect}"
    rows, hit = (sum(getattr(s, name) for s in summaries) for name in ("rows", "rows_with"))
    tally = f"{total.total():,} identifiers found" if total else "identifiers not found"
    yield f"{tally} by this scanner (version {VERSION}) in {hit:,} of {rows:,} rows; {RECALL}"
    blind = "; ".join(f"{row.letter} {row.blind}" for row in SAFE_HARBOR if row.blind)
    yield f"no scanner of text sees: {blind}"
