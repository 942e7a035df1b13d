"""Judge how an answer acts: rules with spans, and a small linear model beside those for refusal."""

from medlora.evaluate.safety.checker import SafetyChecker
from medlora.evaluate.safety.findings import Finding
from medlora.evaluate.safety.rules.registry import RULES
from medlora.evaluate.safety.shares import shares

__all__ = ["RULES", "Finding", "SafetyChecker", "shares"]
