"""Control tokens: those that a chat template writes to begin and end turns, and that text spells.

A text that spells one is broken by a character that no text has, encoded so, and mended by taking
that character's tokens out: what a row says stays text.  One of a single character cannot be
broken.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from medlora.data.chat.thoughts import OWN_TAGS

BREAK = "\ue01f"  # for private use


@dataclass(frozen=True)
class Controls:
    """The strings that a tokenizer makes control tokens of."""

    ids: frozenset[int]
    strings: frozenset[str]
    _prefixes: tuple[str, ...]
    _letters: tuple[str, ...]
    _spelled: re.Pattern[str]

    @classmethod
    def of(
        cls, tokenizer: PreTrainedTokenizerBase, *, written: str, stops: Iterable[int]
    ) -> "Controls":
        """Return the control tokens of a base.

        Args:
            tokenizer: of the base; its special tokens are control tokens.
            written: what its template writes around messages: so are other added tokens there,
                the tags of thoughts and single characters aside.
            stops: ids of tokens that end an answer: so are they.
        """
        ends = set(stops)
        controls = {
            number: token.content
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special
            or number in ends
            or (
                len(token.content) > 1
                and token.content in written
                and token.content not in OWN_TAGS
            )
        }
        spelled = {text for text in controls.values() if text.strip() and BREAK not in text}
        strings = sorted(spelled, key=len, reverse=True)
        return cls(
            frozenset(controls),
            frozenset(strings),
            tuple(sorted({text[:2] for text in strings})),
            tuple(sorted(text for text in strings if len(text) == 1)),
            re.compile("|".join(map(re.escape, strings)) or r"(?!)"),
        )

    def first_spelled(self, text: str) -> str | None:
        """Return the first control token that a text spells, None if it spells none."""
        if not any(prefix in text for prefix in self._prefixes):
            return None
        match = self._spelled.search(text)
        return match[0] if match else None

    def unbreakable(self, text: str) -> str | None:
        """Return a control token of one character that is in a text, None if there is none."""
        return next((letter for letter in self._letters if letter in text), None)

    def broken(self, text: str) -> str:
        """Return a text that spells no control token, each one broken behind its first character.

        One may appear where another was broken, so this goes on until none does.

        Args:
            text: with none that is `unbreakable`.
        """
        while self.first_spelled(text):
            text = self._spelled.sub(lambda m: f"{m[0][:1]}{BREAK}{m[0][1:]}", text)
        return text

    def without(self, text: str) -> str:
        """Return a text less the control tokens that it spells."""
        return self._spelled.sub("", text)

    def written(self, text: str) -> int:
        """Return how many control tokens a text spells."""
        return sum(1 for _ in self._spelled.finditer(text))


def without_breaks(encoding: Any, text: str) -> list[int] | None:  # noqa: ANN401  (untyped)
    """Return an encoding's ids less those of the breaks; None where one cannot be parted.

    Args:
        encoding: of the text, with offsets.
        text: with breaks.
    """
    breaks = {place for place, character in enumerate(text) if character == BREAK}
    ids = []
    for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        inside = [place for place in breaks if start <= place < end]
        if not inside:
            ids.append(number)
        elif end - start > 1:
            return None
    return ids
