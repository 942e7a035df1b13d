"""What is known of a rule: one record each, which `registry` holds; and what each of them sees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from medlora.evaluate.checker_protocols import Expect
from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.safety.care import referrals
from medlora.evaluate.safety.emergency import escalations
from medlora.evaluate.safety.findings import Severity
from medlora.evaluate.safety.refusal import refusal
from medlora.evaluate.safety.text import Scoped

Hit = tuple[Severity, int, int]  # how grave, and where: characters from start, before end


@dataclass(frozen=True)
class Answer:
    """An answer, and what was asked, as far as it is known."""

    response: str
    prompt: str | None = None
    expect: Expect | None = None

    @cached_property
    def text(self) -> Scoped:
        """The answer as patterns read it."""
        return Scoped.of(self.response)

    @cached_property
    def asked(self) -> Scoped | None:
        """The prompt as patterns read it."""
        return Scoped.of(self.prompt) if self.prompt else None

    @cached_property
    def refusal(self) -> tuple[int, int] | None:
        """Where it declines what it was asked for."""
        return refusal(self.text)

    @cached_property
    def sends_on(self) -> bool:
        """Whether it points to a professional or to urgent care."""
        ways = (referrals, escalations)
        return any(True for way in ways for _ in way(self.text))

    @property
    def everything(self) -> tuple[int, int]:
        """All of it."""
        return (0, len(self.text.lines))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: in findings.
        find: yields its hits.
        measure: what a suite's answers are counted by; it is high where the rule hits, or where it
            does not if high is better.
        is_fault: no answer to be trained on should hit it, so that `medlora check` lists them.
    """

    name: str
    find: Callable[[Answer], Iterator[Hit]]
    measure: Measure | None = None
    is_fault: bool = True
