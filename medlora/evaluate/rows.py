"""A suite's items as rows of tokens: what a model reads, and which tokens are scored.

T is the number of tokens of one row.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from medlora.data.chat.chat import Chat, Tokens
from medlora.data.problems import Problem
from medlora.data.records import Message, Record
from medlora.data.rows import Row
from medlora.errors import DataError, listed
from medlora.evaluate.suite import Choice, Pair, Suite, Text

_UNLIMITED = 2**31


def choice_rows(chat: Chat, item: Choice, *, limit: int | None) -> list[Row]:
    """Return a row for each choice: the question as plain text, then the choice, which is scored.

    A row over the limit loses its beginning, and the choice is never cut before the rest is.
    Source: lm_eval 0.4.13, whose log-likelihoods this must agree with: the choice's tokens are
    those by which the whole is longer than the question.
    """
    context = question_text(item)
    before = len(chat.encoded(context))
    rows = []
    for choice in item.choices:
        ids = np.array(chat.encoded(f"{context} {choice}"), dtype=np.int32)
        learn = np.arange(len(ids)) >= min(before, len(ids) - 1)
        # The last token is only predicted, so the model reads one less.
        kept = slice(max(0, len(ids) - (limit or _UNLIMITED) - 1), None)
        rows.append(Row(ids[kept], learn[kept]))
    return rows


def question_text(item: Choice) -> str:
    """Return what stands before the choices."""
    context = f"{item.context}\n\n" if item.context else ""
    return f"{context}Question: {item.question}\nAnswer:"


def conversation_rows(chat: Chat, suite: Suite, *, limit: int | None) -> Iterator[list[Row]]:
    """Yield the rows of each item of a perplexity suite, of pairs the better's, then the worse's.

    Conversations are rendered as for training, and the assistant's tokens are scored; of plain
    text all but the first.  Long ones are read in windows: each token is scored once.

    Raises:
        DataError: the chat template cannot render a conversation, or nothing is left to score.
    """
    problems: list[Problem] = []
    for found in _tokenized(chat, suite.items):
        if isinstance(found, Problem):
            problems.append(found)
            continue
        rows = [row for one in found for row in _windows(one.ids, one.learn, limit or _UNLIMITED)]
        if not rows:
            problems.append(Problem(found[0].line, "nothing to score", "write a longer text"))
        yield rows
    if problems:
        lines = [problem.text(suite.file) for problem in problems]
        raise DataError(
            listed(lines, what=f"{suite.file} cannot be used"),
            fix="correct these lines; the row's text is not shown on purpose",
        )


def _tokenized(
    chat: Chat, items: Sequence[Text | Record | Pair]
) -> Iterator[list[Tokens] | Problem]:
    """Yield the tokens of each item in their order, of pairs the better's and the worse's."""
    found = iter(chat.tokenize([record for item in items for record in _records(item)]))
    for item in items:
        if isinstance(item, Text):
            yield from _texts(chat, [item])
        else:
            yield from islice(found, len(_records(item)))


def _records(item: Text | Record | Pair) -> list[Record]:
    if isinstance(item, Record):
        return [item]
    if isinstance(item, Text):
        return []
    user = Message("user", item.prompt)
    both = (item.better, item.worse)
    return [Record(item.line, (user, Message("assistant", text, learn=True))) for text in both]


def _texts(chat: Chat, items: Sequence[Text]) -> Iterator[list[Tokens]]:
    for item in items:
        ids = np.array(chat.encoded(item.text), dtype=np.int32)
        yield [Tokens(item.line, ids, np.ones(len(ids), dtype=bool))]


def _windows(ids: NDArray[np.int32], learn: NDArray[np.bool_], size: int) -> Iterator[Row]:
    """Yield rows of which a model reads `size` tokens at most; each begins where the last ends."""
    for start in range(0, max(len(ids) - 1, 1), size):
        row = Row(ids[start : start + size + 1], learn[start : start + size + 1])
        if row.targets:
            yield row
