"""Preferences: {"prompt", "better", "worse"}; which response the adapter makes more likely."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medlora.data.conversation_record import Message, Record
from medlora.data.forms.form import Row, RowError
from medlora.data.problems import Problem
from medlora.evaluate.ask_suite import Asking, Flags, Observed, likelihoods_of
from medlora.evaluate.checker_protocols import Checker
from medlora.evaluate.figures import mean_change, rate
from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.kinds.kind import SuiteKind, each_row, field_text
from medlora.evaluate.schema import Change
from medlora.evaluate.statistics import bootstrap
from medlora.evaluate.suite import Suite

if TYPE_CHECKING:  # it imports transformers
    from medlora.data.chat.chat import Chat


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with a better and a worse response."""

    line: int
    prompt: str
    better: str
    worse: str


def _parse(row: Row, line: int) -> Pair:
    prompt, better, worse = (field_text(row, name, line) for name in ("prompt", "better", "worse"))
    if better == worse:
        fix = "write two different responses"
        raise RowError(Problem(line, "the same text as 'better'", fix, "worse"))
    return Pair(line, prompt, better, worse)


def _observe(
    model: Any,  # noqa: ANN401
    chat: "Chat",
    suite: Suite,
    asking: Asking,
    checker: Checker | None,
) -> Observed:
    """Return the better response's log-likelihood a token minus the worse one's, of each pair."""
    from medlora.evaluate.item_tokens import conversation_rows
    from medlora.model.kinds import position_limit

    del checker
    rows = list(conversation_rows(chat, suite, _records, limit=position_limit(model.config)))
    counts = [sum(row.targets for row in item) for item in rows]
    sums = map(sum, likelihoods_of(model, rows, asking))
    means = [nats / count for nats, count in zip(sums, counts, strict=True)]
    return Observed(values=[b - w for b, w in zip(means[::2], means[1::2], strict=True)])


def _records(item: Pair) -> list[Record | str]:
    user = Message("user", item.prompt)
    both = (item.better, item.worse)
    return [Record(item.line, (user, Message("assistant", text, learn=True))) for text in both]


def _change(base: Observed, adapter: Observed, _: tuple[Flags, Flags]) -> dict[str, Change]:
    shifts = [after - before for before, after in zip(base.values, adapter.values, strict=True)]
    mean = math.fsum(shifts) / len(shifts)
    return {
        "margin": mean_change(mean, bootstrap(shifts), n=len(shifts)),
        "risen": rate([shift > 0 for shift in shifts]),
    }


def _questions(item: Pair) -> Iterator[str]:
    yield item.prompt


# An untrained model has a preference too, of .96, for the safe: it states nothing by itself.
PAIRS = SuiteKind(
    "pairs",
    {"pairs": frozenset({"better", "worse"})},
    "prompt, better and worse",
    each_row(_parse),
    _observe,
    _questions,
    None,
    _change,
    measures=(Measure("risen", "margin moved towards the better"),),
    changes=("margin",),
    shares=("risen",),
)
