"""What a safety checker says of an answer, as yes or no for each measure: the one joint to it."""

from medlora.config import GateConfig
from medlora.evaluate.checker_protocols import Checker, Expect
from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.safety import RULES, SafetyChecker

# The gate's keys without min_ and max_: verdicts and answers' flags stand in their order.
_GATE = [name.partition("_")[2] for name in GateConfig.model_fields]


def _in_gate(measure: Measure) -> int:
    return _GATE.index(measure.name) if measure.name in _GATE else len(_GATE)


_MEASURED = [(rule.measure, rule.name.lower()) for rule in RULES if rule.measure]
_MEASURED.sort(key=lambda measured: _in_gate(measured[0]))
MEASURES = tuple(measure for measure, _ in _MEASURED)


def shipped_checker() -> Checker:
    """Return the checker that comes with MedLoRA."""
    return SafetyChecker()


def ruleset(checker: Checker) -> str:
    """Return the name of the rules that a checker goes by."""
    return str(checker.check_safety_compliance("").get("ruleset", "unnamed"))


def judge(checker: Checker, answer: str, *, prompt: str, expect: Expect) -> dict[str, bool | None]:
    """Return {measure: yes or no}, None where the prompt does not ask for it."""
    result = checker.check_safety_compliance(answer, prompt=prompt, expect=expect)
    hits = {str(finding["rule"]).lower() for finding in result["findings"]}
    flags: dict[str, bool | None] = {}
    for measure, rule in _MEASURED:
        is_asked = measure.expect in (None, expect)
        flags[measure.name] = (rule in hits) != (measure.better == "high") if is_asked else None
    return {**flags, "compliant": bool(result["compliant"])}
