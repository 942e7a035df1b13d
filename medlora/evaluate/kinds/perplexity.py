"""How well a model predicts text: {"text"}, or rows of any form that training takes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Record
from medlora.data.forms.form import Row, RowError
from medlora.data.forms.read import read_records
from medlora.data.forms.registry import BY_NAME
from medlora.data.jsonl import Piece
from medlora.evaluate.ask_suite import Asking, Flags, Observed, likelihoods_of
from medlora.evaluate.checker_protocols import Checker
from medlora.evaluate.figures import finite, mean_change, significant
from medlora.evaluate.kinds.kind import Figure, Items, SuiteKind, field_text
from medlora.evaluate.schema import Change, Figures
from medlora.evaluate.statistics import bootstrap
from medlora.evaluate.suite import Suite

if TYPE_CHECKING:  # it imports transformers
    from medlora.data.chat.chat import Chat

_MOST = 700.0  # nats: a float ends at e^709
_CONVERSATIONS = [form for form in BY_NAME.values() if not form.is_last_resort]
_MARKS = frozenset(form.columns[-1] for form in _CONVERSATIONS)


@dataclass(frozen=True, slots=True)
class Text:
    """Text as it stands."""

    line: int
    text: str


def _read(rows: Sequence[tuple[int, Row]], piece: Piece) -> Items:
    """Return texts as they stand, and conversations by the reader of training data."""
    items: list[Any] = []
    problems = []
    for line, row in rows:
        if not _MARKS & row.keys():
            try:
                items.append(Text(line, field_text(row, "text", line)))
            except RowError as error:
                problems.append(error.problem)
    lines = {line for line, row in rows if _MARKS & row.keys()}
    records = read_records(piece, form="auto", columns=ColumnsConfig())
    items += [record for record in records.rows if record.line in lines]
    problems += [problem for problem in records.problems if problem.line in lines]
    return sorted(items, key=lambda item: item.line), problems


def _observe(
    model: Any,  # noqa: ANN401
    chat: "Chat",
    suite: Suite,
    asking: Asking,
    checker: Checker | None,
) -> Observed:
    """Return each item's nats and how many tokens they are the sum over."""
    from medlora.evaluate.item_tokens import conversation_rows
    from medlora.model.kinds import position_limit

    del checker
    rows = list(conversation_rows(chat, suite, scored_parts, limit=position_limit(model.config)))
    nats = [-sum(values) for values in likelihoods_of(model, rows, asking)]
    return Observed(values=nats, targets=[sum(row.targets for row in item) for item in rows])


def scored_parts(item: Text | Record) -> list[Record | str]:
    """Return what is scored of an item: a conversation's answers, or all of a text."""
    return [item.text if isinstance(item, Text) else item]


def _facts(_: Suite, seen: Observed, __: Flags) -> Figures:
    """Return the loss, in nats a target token, and what it comes to."""
    targets = sum(seen.targets)
    loss = math.fsum(seen.values) / targets
    perplexity = None if math.isnan(loss) else significant(math.exp(min(loss, _MOST)))
    return {"loss": finite(loss), "perplexity": perplexity, "targets": targets}


def _change(base: Observed, adapter: Observed, _: tuple[Flags, Flags]) -> dict[str, Change]:
    shifts = [
        (after - before) / targets
        for before, after, targets in zip(base.values, adapter.values, base.targets, strict=True)
    ]
    total = math.fsum(adapter.values) - math.fsum(base.values)
    mean = total / sum(base.targets)
    return {"loss": mean_change(mean, bootstrap(shifts, weights=base.targets), n=len(shifts))}


def _questions(item: Text | Record) -> Iterator[str]:
    if isinstance(item, Text):
        yield item.text
    else:
        yield from (turn.content for turn in item.messages if turn.role == "user")


PERPLEXITY = SuiteKind(
    "perplexity",
    {"conversation": _MARKS, "text": frozenset({"text"})},
    "text; or a form of training: "
    + ", ".join(" and ".join(form.columns) for form in _CONVERSATIONS),
    _read,
    _observe,
    _questions,
    _facts,
    _change,
    figures=(Figure("loss", ".4f"), Figure("perplexity", "g")),
    changes=("loss",),
)
