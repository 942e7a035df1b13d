"""Multiple choice: {"question", "choices": [...], "answer": index}, optional "context".

A model chooses what it finds most likely behind the question; it says nothing itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medlora.data.forms.form import Row, RowError, checked_text
from medlora.data.problems import Problem, kind
from medlora.evaluate.ask_suite import Asking, Flags, Observed, likelihoods_of
from medlora.evaluate.checker_protocols import Checker
from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.kinds.kind import SuiteKind, each_row, field_text, rate_changes, rates
from medlora.evaluate.suite import Suite

if TYPE_CHECKING:  # it imports transformers
    from medlora.data.chat.chat import Chat

_FEWEST = 2  # choices


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with the answers to choose from; `answer` is the index of the right one."""

    line: int
    question: str
    context: str
    choices: tuple[str, ...]
    answer: int


def _parse(row: Row, line: int) -> Choice:
    options = row.get("choices")
    if not isinstance(options, list):
        problem = f"{kind(options)} instead of a list"
        raise RowError(Problem(line, problem, "write a list of strings", "choices"))
    texts = tuple(
        checked_text(option, f"choices[{index}]", line) for index, option in enumerate(options)
    )
    if len(texts) < _FEWEST or len(set(texts)) < len(texts):
        problem = "the same choice twice" if len(texts) >= _FEWEST else f"{len(texts)} choices"
        raise RowError(
            Problem(line, problem, "give at least two choices, all different", "choices")
        )
    answer = row.get("answer")
    if not isinstance(answer, int) or isinstance(answer, bool):
        problem = f"{kind(answer)} instead of an index"
        raise RowError(Problem(line, problem, "write 0 for the first choice", "answer"))
    if not 0 <= answer < len(texts):
        problem = f"no choice has this index, there are {len(texts)}"
        raise RowError(Problem(line, problem, "write 0 for the first choice", "answer"))
    context = row.get("context")
    return Choice(
        line,
        field_text(row, "question", line),
        "" if context is None else checked_text(context, "context", line, optional=True),
        texts,
        answer,
    )


def choice_likelihoods(
    model: Any,  # noqa: ANN401
    chat: "Chat",
    suite: Suite,
    asking: Asking,
) -> list[list[float]]:
    """Return the log-likelihood of each choice of each question, in nats."""
    from medlora.evaluate.item_tokens import choice_rows
    from medlora.model.kinds import position_limit

    limit = position_limit(model.config)
    rows = [
        choice_rows(chat, question_text(item), item.choices, limit=limit) for item in suite.items
    ]
    return likelihoods_of(model, rows, asking)


def question_text(item: Choice) -> str:
    """Return what stands before the choices."""
    context = f"{item.context}\n\n" if item.context else ""
    return f"{context}Question: {item.question}\nAnswer:"


def _observe(
    model: Any,  # noqa: ANN401
    chat: "Chat",
    suite: Suite,
    asking: Asking,
    checker: Checker | None,
) -> Observed:
    del checker
    flags: Flags = {"accuracy": [], "accuracy_norm": []}
    likelihoods = choice_likelihoods(model, chat, suite, asking)
    for item, values in zip(suite.items, likelihoods, strict=True):
        by_length = [v / len(text) for v, text in zip(values, item.choices, strict=True)]
        flags["accuracy"].append(_largest(values) == item.answer)
        flags["accuracy_norm"].append(_largest(by_length) == item.answer)
    return Observed(flags=flags)


def _largest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)  # the first of equal ones


def _questions(item: Choice) -> Iterator[str]:
    yield from (item.question, item.context)


CHOICES = SuiteKind(
    "choices",
    {"choices": frozenset({"choices"})},
    "question, choices and answer",
    each_row(_parse),
    _observe,
    _questions,
    rates,
    rate_changes,
    measures=(
        Measure("accuracy", "right answers", better="high"),
        Measure("accuracy_norm", "right answers, by length"),
    ),
)
