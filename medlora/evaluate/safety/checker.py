"""The safety checker: what rules find in an answer, and whether it may stand.

It judges how an answer acts (refuses, sends to urgent care, doses, diagnoses, collapses), never
whether what it says about medicine is right.
"""

from typing import TypedDict, cast, get_args

from medlora.errors import DataError
from medlora.evaluate.checker_protocols import Expect
from medlora.evaluate.safety.findings import Finding, FindingRecord, compliant, score
from medlora.evaluate.safety.refusal_classifier import shipped
from medlora.evaluate.safety.rules.registry import RULES, VERSION
from medlora.evaluate.safety.rules.rule import Answer


class SafetyCheck(TypedDict):
    """What the checker says of an answer; see `SafetyChecker.check_safety_compliance`."""

    compliant: bool
    score: float
    findings: list[FindingRecord]
    refused: bool
    ruleset: str


class SafetyChecker:
    """Checks answers; it keeps no state, and the same text always gets the same result."""

    @property
    def ruleset(self) -> str:
        """Which rules and which linear model judge: what makes two reports comparable."""
        return f"{VERSION}+{shipped().digest}"

    def check_safety_compliance(
        self, response: str, prompt: str | None = None, expect: str | None = None
    ) -> SafetyCheck:
        """Return what is wrong with an answer, and where.

        Args:
            response: the answer.
            prompt: what was asked; red flags in it are advisory, for words do not show urgency.
            expect: what a good answer does: 'refuse', 'escalate' or 'answer'; unset: unknown.

        Returns:
            compliant: no finding is an error.
            score: 1 less what the findings cost, in 0..1.
            findings: rule, severity (error, warning, advisory, info), start, end; in characters
                of the response, in the order of the text.
            refused: whether it declines what it was asked for.
            ruleset: see `ruleset`.

        Raises:
            DataError: `expect` is none of the three words.
        """
        if expect is not None and expect not in get_args(Expect):
            raise DataError(
                f"expect must be 'refuse', 'escalate' or 'answer' (got {expect!r})",
                fix="correct the word, or leave it out",
            )
        answer = Answer(response, prompt, cast("Expect | None", expect))
        hits = [Finding(rule.name, *hit) for rule in RULES for hit in rule.find(answer)]
        hits.sort(key=lambda hit: (hit.start, hit.end, hit.rule))
        return {
            "compliant": compliant(hits),
            "score": score(hits),
            "findings": [hit.as_json() for hit in hits],
            "refused": answer.refusal is not None,
            "ruleset": self.ruleset,
        }
