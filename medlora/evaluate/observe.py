"""What a model does on a suite, item by item; what it comes to is `summary`'s."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medlora.data.chat.chat import Chat
from medlora.evaluate.checker import Checker
from medlora.evaluate.generate import Answer, generate
from medlora.evaluate.judge import judge
from medlora.evaluate.likelihood import log_likelihoods
from medlora.evaluate.rows import choice_rows, conversation_rows
from medlora.evaluate.suite import Suite
from medlora.model.kinds import position_limit
from medlora.train.forward import Forward

Flags = dict[str, list[bool | None]]  # {measure: yes or no for each item, None where not asked}


@dataclass(frozen=True, slots=True)
class Observed:
    """A suite's items as one model did them.

    Attributes:
        flags: of choices and generation.
        values: of perplexity each item's nats; of pairs the better response's log-likelihood a
            token minus the worse one's.
        targets: of perplexity the tokens scored.
        answers: of generation.
    """

    flags: Flags = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked."""

    batch_size: int
    max_new_tokens: int
    poll: Callable[[], None] = lambda: None


def observe(
    model: Any,  # noqa: ANN401  (a causal language model, with or without an adapter)
    chat: Chat,
    suite: Suite,
    asking: Asking,
    *,
    checker: Checker | None = None,
) -> Observed:
    """Return what a model does on each item of a suite.

    Args:
        model: as it is to be judged.
        chat: of the base.
        suite: what it is asked.
        asking: how.
        checker: judges the answers of a generation suite.

    Raises:
        DataError: a row cannot be asked; the chat template refuses it, or it is too long.
        OutOfMemoryError: a single row does not fit.
    """
    match suite.kind:
        case "choices":
            return _choose(model, chat, suite, asking)
        case "pairs":
            return _prefer(model, chat, suite, asking)
        case "perplexity":
            return _read(model, chat, suite, asking)
        case "generation":
            return _answer(model, chat, suite, asking, checker)


def choice_likelihoods(
    model: Any,  # noqa: ANN401
    chat: Chat,
    suite: Suite,
    asking: Asking,
) -> list[list[float]]:
    """Return the log-likelihood of each choice of each question, in nats."""
    limit = position_limit(model.config)
    rows = [choice_rows(chat, item, limit=limit) for item in suite.items]
    return _by_item(model, rows, asking)


def _choose(
    model: Any,  # noqa: ANN401
    chat: Chat,
    suite: Suite,
    asking: Asking,
) -> Observed:
    flags: Flags = {"accuracy": [], "accuracy_norm": []}
    found = choice_likelihoods(model, chat, suite, asking)
    for item, values in zip(suite.items, found, strict=True):
        by_length = [v / len(text) for v, text in zip(values, item.choices, strict=True)]
        flags["accuracy"].append(_largest(values) == item.answer)
        flags["accuracy_norm"].append(_largest(by_length) == item.answer)
    return Observed(flags=flags)


def _prefer(
    model: Any,  # noqa: ANN401
    chat: Chat,
    suite: Suite,
    asking: Asking,
) -> Observed:
    limit = position_limit(model.config)
    rows = list(conversation_rows(chat, suite, limit=limit))
    counts = [sum(row.targets for row in item) for item in rows]
    sums = map(sum, _by_item(model, rows, asking))
    means = [nats / count for nats, count in zip(sums, counts, strict=True)]
    return Observed(values=[b - w for b, w in zip(means[::2], means[1::2], strict=True)])


def _read(
    model: Any,  # noqa: ANN401
    chat: Chat,
    suite: Suite,
    asking: Asking,
) -> Observed:
    limit = position_limit(model.config)
    rows = list(conversation_rows(chat, suite, limit=limit))
    nats = [-sum(values) for values in _by_item(model, rows, asking)]
    return Observed(values=nats, targets=[sum(row.targets for row in item) for item in rows])


def _answer(
    model: Any,  # noqa: ANN401
    chat: Chat,
    suite: Suite,
    asking: Asking,
    checker: Checker | None,
) -> Observed:
    said = generate(
        model,
        chat,
        [item.prompt for item in suite.items],
        max_new_tokens=asking.max_new_tokens,
        batch_size=asking.batch_size,
        poll=asking.poll,
    )
    flags: Flags = {}
    thinks = any(answer.thought is not None for answer in said)
    for item, answer in zip(suite.items, said, strict=True):
        asking.poll()
        judged = judge(checker, item, answer.text) if checker else {}
        endless = {"unended_thought": answer.unended} if thinks else {}
        for measure, flag in {**judged, "cut": answer.cut, **endless}.items():
            flags.setdefault(measure, []).append(flag)
    return Observed(flags=flags, answers=said)


def _by_item(
    model: Any,  # noqa: ANN401
    rows: Sequence[Sequence[Any]],
    asking: Asking,
) -> list[list[float]]:
    """Return the log-likelihoods of each item's rows."""
    flat = log_likelihoods(
        model,
        [row for item in rows for row in item],
        batch_size=asking.batch_size,
        poll=asking.poll,
        forward=Forward(model),
    )
    values = iter(flat)
    return [[next(values) for _ in item] for item in rows]


def _largest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)  # the first of equal ones
