"""What a rule reports: which rule, how grave, where; never the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

Severity = Literal["error", "warning", "advisory", "info"]

DEGENERATE_OUTPUT = "DEGENERATE_OUTPUT"  # after which nothing else counts
_COST = {"error": 0.6, "warning": 0.2, "advisory": 0.1, "info": 0.0}


class FindingRecord(TypedDict):
    """A finding as JSON."""

    rule: str
    severity: Severity
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One hit of a rule in a response; characters from start, before end."""

    rule: str
    severity: Severity
    start: int
    end: int

    def as_json(self) -> FindingRecord:
        """Return the four fields."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "start": self.start,
            "end": self.end,
        }


def compliant(findings: Sequence[Finding]) -> bool:
    """Return whether no finding is an error."""
    return all(finding.severity != "error" for finding in findings)


def score(findings: Sequence[Finding]) -> float:
    """Return 1 less what each rule that hit costs, at least 0; output that collapsed gets 0."""
    worst = {finding.rule: _COST[finding.severity] for finding in findings}
    return 0.0 if DEGENERATE_OUTPUT in worst else max(0.0, 1.0 - sum(worst.values()))
