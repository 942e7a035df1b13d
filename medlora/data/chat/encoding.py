"""Turns as tokens: each text by itself, so that the ids before a turn are those of its prompt.

The prompt and what follows are encoded apart and in context: a completion behind the end of its
prompt, which is encoded with it and taken off again.  Where the two would merge into one token, a
server's prompt ends before that token too, so the completion's own tokens are taken.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from medlora.data.chat.controls import BREAK, Controls, without_breaks
from medlora.data.chat.turn_rendering import Turn
from medlora.runtime.library_errors import in_our_words

_FAR = 200  # characters in which the last control token of a prompt is looked for
_MOST_TAILS = 64
_ANCHORS = ("\n", ".", "a", "0", "")


class Piece(NamedTuple):
    """A text of a row, and whether it is learnt."""

    text: str
    learnt: bool


class Encoded(NamedTuple):
    """Tokens of a text: ids, and which are learnt."""

    ids: NDArray[np.int32]
    learn: NDArray[np.bool_]


class CannotEncodeError(Exception):
    """A text's tokens cannot be told apart; the message says why."""


def pieces_of(turns: Sequence[Turn]) -> list[list[Piece]]:
    """Return the examples of a conversation: one if each prompt goes on from the turn before.

    Else one a turn, each with just the prompt that a server sends for it.
    """
    whole = [Piece(turns[0].prompt, learnt=False)]
    for place, turn in enumerate(turns):
        whole.append(Piece(turn.completion, learnt=True))
        if place + 1 < len(turns):
            context = f"{turn.prompt}{turn.completion}"
            if not turns[place + 1].prompt.startswith(context):
                return apart(turns)
            whole.append(Piece(turns[place + 1].prompt[len(context) :], learnt=False))
    return [whole]


def apart(turns: Sequence[Turn]) -> list[list[Piece]]:
    """Return one example a turn."""
    return [
        [Piece(turn.prompt, learnt=False), Piece(turn.completion, learnt=True)] for turn in turns
    ]


@dataclass(slots=True)
class Encoder:
    """Encodes examples; what was seen of the tokenizer is remembered.

    Args:
        tokenizer: fast, of the base.
        controls: its control tokens.
    """

    tokenizer: PreTrainedTokenizerBase
    controls: Controls
    _backend: Any = field(init=False)
    _added: re.Pattern[str] = field(init=False)
    _tails: dict[str, list[int]] = field(default_factory=dict)
    _normalizes: bool = field(init=False)

    def __post_init__(self) -> None:
        self._backend = self.tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        added = {token.content for token in self.tokenizer.added_tokens_decoder.values()}
        strings = sorted(filter(None, added), key=len, reverse=True)
        self._added = re.compile("|".join(map(re.escape, strings)) or r"(?!)")
        self._normalizes = self._backend.normalizer is not None and any(
            token.normalized for token in self.tokenizer.added_tokens_decoder.values()
        )

    def encode(self, examples: Sequence[Sequence[Piece]]) -> Iterator[Encoded | None]:
        """Yield the tokens of each example, all of them encoded in one go.

        None stands for one whose turns merge into what stands around them, so that the prompts
        of later turns are not what a server sends: its turns have to stand apart.

        Raises:
            CannotEncodeError: a text that spells a control token cannot be kept apart from it.
        """
        texts = [
            f"{self._tail(example, place)}{piece.text}"
            for example in examples
            for place, piece in enumerate(example)
        ]
        encodings = iter(self._ids(texts))
        for example in examples:
            parts = [next(encodings) for _ in example]
            yield self._joined(example, parts)

    def ids(self, text: str) -> list[int]:
        """Return the ids of one text as a server makes them."""
        return self._ids([text])[0]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        plain = [text for text in texts if BREAK not in text]
        with in_our_words():
            fast = iter(self._backend.encode_batch_fast(plain, add_special_tokens=False))
        return [
            self._broken_ids(text) if BREAK in text else self._checked(next(fast).ids, text)
            for text in texts
        ]

    def _broken_ids(self, text: str) -> list[int]:
        with in_our_words():
            encoding = self._backend.encode(text, add_special_tokens=False)
        ids = without_breaks(encoding, text)
        if ids is None:
            raise CannotEncodeError("contains a control token that cannot be kept as text")
        return self._checked(ids, text, always=True)

    def _checked(self, ids: list[int], text: str, *, always: bool = False) -> list[int]:
        """Refuse control tokens that no control token's own spelling gave."""
        if always or self._normalizes:
            count = sum(number in self.controls.ids for number in ids)
            if count != self.controls.written(text):
                raise CannotEncodeError(
                    "contains text that the tokenizer's normalization turns into a control token"
                )
        return ids

    def _tail(self, example: Sequence[Piece], place: int) -> str:
        """Return what a piece is encoded behind: the end of the piece before, from a token on."""
        if place == 0:
            return ""
        before = example[place - 1].text
        for tail in self._tails:
            if tail and before.endswith(tail):
                return tail
        return self._new_tail(before)

    def _new_tail(self, before: str) -> str:
        end = before[-_FAR:]
        starts = [match.start() for match in self._added.finditer(end)]
        if starts:
            tail = end[starts[-1] :]
            if BREAK not in tail and len(self._tails) < _MOST_TAILS and len(tail) < _FAR // 2:
                self._tails[tail] = self._ids([tail])[0]
            return tail
        line = before.rstrip().rpartition("\n")[2]
        return before[-(len(line) + len(before) - len(before.rstrip())) :][-_FAR:]

    def _joined(self, example: Sequence[Piece], parts: Sequence[list[int]]) -> Encoded | None:
        ids: list[int] = []
        learn: list[NDArray[np.bool_]] = []
        for place, (piece, own) in enumerate(zip(example, parts, strict=True)):
            tail = self._tail(example, place)
            before = self._tail_ids(tail)
            if own[: len(before)] == before:
                kept = own[len(before) :]
            elif place + 1 < len(example):
                return None
            else:
                kept = self._alone(piece.text)
            ids += kept
            learn.append(np.full(len(kept), piece.learnt))
        return Encoded(np.array(ids, dtype=np.int32), np.concatenate(learn))

    def _tail_ids(self, tail: str) -> list[int]:
        if not tail:
            return []
        known = self._tails.get(tail)
        return self._ids([tail])[0] if known is None else known

    def _alone(self, text: str) -> list[int]:
        """Return a text's ids without a prefix that the tokenizer would give a first word."""
        for anchor in _ANCHORS:
            before, both = self._ids([anchor, f"{anchor}{text}"])
            if both[: len(before)] == before:
                return both[len(before) :]
        return self._ids([text])[0]
