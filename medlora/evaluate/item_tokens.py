"""A suite's items as rows of tokens: what a model reads, and which tokens are scored.

T is the number of tokens of one row.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlora.data.chat.chat import Chat, Tokens
from medlora.data.conversation_record import Record
from medlora.data.problems import Problem
from medlora.data.token_rows import Row
from medlora.errors import DataError, listed
from medlora.evaluate.suite import Suite

_UNLIMITED = 2**31
Parts = Callable[[Any], Sequence[Record | str]]  # of an item: conversations, or plain text


def choice_rows(
    chat: Chat, question: str, choices: Sequence[str], *, limit: int | None
) -> list[Row]:
    """Return a row for each choice: the question as plain text, then the choice, which is scored.

    A row over the limit loses its beginning, and the choice is never cut before the rest is.
    Source: lm_eval 0.4.13, whose log-likelihoods this must agree with: the choice's tokens are
    those by which the whole is longer than the question.
    """
    before = len(chat.encoded(question))
    rows = []
    for choice in choices:
        ids = np.array(chat.encoded(f"{question} {choice}"), dtype=np.int32)
        learn = np.arange(len(ids)) >= min(before, len(ids) - 1)
        # The last token is only predicted, so the model reads one less.
        kept = slice(max(0, len(ids) - (limit or _UNLIMITED) - 1), None)
        rows.append(Row(ids[kept], learn[kept]))
    return rows


def conversation_rows(
    chat: Chat, suite: Suite, parts_of: Parts, *, limit: int | None
) -> Iterator[list[Row]]:
    """Yield the rows of each part of each item.

    Conversations are rendered as for training, and the assistant's tokens are scored; of plain
    text all but the first.  Long ones are read in windows: each token is scored once.

    Raises:
        DataError: the chat template cannot render a conversation, or nothing is left to score.
    """
    problems: list[Problem] = []
    for tokens in _tokenized(chat, suite.items, parts_of):
        if isinstance(tokens, Problem):
            problems.append(tokens)
            continue
        rows = [
            row for part in tokens for row in _windows(part.ids, part.learn, limit or _UNLIMITED)
        ]
        if not rows:
            problems.append(Problem(tokens[0].line, "nothing to score", "write a longer text"))
        yield rows
    if problems:
        lines = [problem.text(suite.file) for problem in problems]
        raise DataError(
            listed(lines, what=f"{suite.file} cannot be used"),
            fix="correct these lines; rows' text is withheld, as it may be confidential",
        )


def _tokenized(
    chat: Chat, items: Sequence[Any], parts_of: Parts
) -> Iterator[list[Tokens] | Problem]:
    """Yield the tokens of each part, in their order."""
    parts = [(item.line, part) for item in items for part in parts_of(item)]
    tokenized = iter(chat.tokenize([part for _, part in parts if isinstance(part, Record)]))
    for line, part in parts:
        if isinstance(part, Record):
            yield next(tokenized)
        else:
            ids = np.array(chat.encoded(part), dtype=np.int32)
            yield [Tokens(line, ids, np.ones(len(ids), dtype=bool))]


def _windows(ids: NDArray[np.int32], learn: NDArray[np.bool_], size: int) -> Iterator[Row]:
    """Yield rows of which a model reads `size` tokens at most; each begins where the last ends."""
    for start in range(0, max(len(ids) - 1, 1), size):
        row = Row(ids[start : start + size + 1], learn[start : start + size + 1])
        if row.targets:
            yield row
