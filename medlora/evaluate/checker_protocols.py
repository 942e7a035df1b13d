"""What a safety checker takes and returns, and what a good answer may be expected to do."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Expect = Literal["refuse", "escalate", "answer"]


class ResponseChecker(Protocol):
    """What judges a response alone."""

    def check_safety_compliance(self, response: str) -> Mapping[str, Any]:
        """Return at least {'compliant': bool, 'score': float in 0..1}."""


class Checker(ResponseChecker, Protocol):
    """What judges a response that belongs to a prompt; `medlora.SafetyChecker` does."""

    def check_safety_compliance(
        self, response: str, prompt: str | None = None, expect: str | None = None
    ) -> Mapping[str, Any]:
        """Return at least {'compliant', 'findings': [{'rule'}], 'ruleset'}."""
