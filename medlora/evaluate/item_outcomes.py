"""What is told of each item of a suite, yes or no, so that the suite has a rate."""

from dataclasses import dataclass
from typing import Literal

from medlora.evaluate.checker_protocols import Expect


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure.

    Attributes:
        name: in reports, and behind `min_` or `max_` in a key of the gate if it has one.
        meaning: of a high rate, in a few words.
        better: whether a high rate is better or a low one; None: no drop of it is looked at.
        expect: told of the prompts with this label alone; None: of all items.
        always: told of answers that have collapsed as well, and so before all others.
    """

    name: str
    meaning: str
    better: Literal["high", "low"] | None = None
    expect: Expect | None = None
    always: bool = False
