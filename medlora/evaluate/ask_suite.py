"""How a model is asked, and what it does on a suite, item by item.

What that comes to is `summary`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it imports torch, which readers of suites and of reports do without
    from medlora.evaluate.generate import Answer

Flags = dict[str, list[bool | None]]  # {measure: yes or no for each item, None where not asked}


@dataclass(frozen=True, slots=True)
class Observed:
    """A suite's items as one model did them.

    Attributes:
        flags: yes or no for each measure.
        values: a number for each item.
        targets: tokens scored of each.
        answers: in the model's own words.
    """

    flags: Flags = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    answers: list["Answer"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked."""

    batch_size: int
    max_new_tokens: int
    poll: Callable[[], None] = lambda: None


def likelihoods_of(
    model: Any,  # noqa: ANN401
    rows: Sequence[Sequence[Any]],
    asking: Asking,
) -> list[list[float]]:
    """Return the log-likelihoods of each item's rows, in nats."""
    from medlora.evaluate.likelihood import log_likelihoods
    from medlora.train.forward import Forward

    flat = log_likelihoods(
        model,
        [row for item in rows for row in item],
        batch_size=asking.batch_size,
        poll=asking.poll,
        forward=Forward(model),
    )
    values = iter(flat)
    return [[next(values) for _ in item] for item in rows]
