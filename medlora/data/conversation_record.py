"""Rows as conversations: turns, what of them is learnt, and what two rows may share."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from medlora.data.folding import answer_digest, digest64, folded

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Message(NamedTuple):
    """One turn; `learn` tells whether the loss counts it.

    `reasoning` is a thought that the row gives in a field of its own, `tool_calls` are as OpenAI
    writes them, and `others` are fields that the template gets as they are.
    """

    role: str
    content: str
    learn: bool = False
    reasoning: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    others: Mapping[str, Any] = _NOTHING

    @property
    def called(self) -> list[str]:
        """The names of the tools that it calls."""
        return [str(call.get("function", call).get("name", "")) for call in self.tool_calls]

    @property
    def text(self) -> str:
        """What it says, its thought included."""
        return f"{self.reasoning}\n{self.content}" if self.reasoning else self.content


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation and the line that it stands on."""

    line: int
    messages: tuple[Message, ...]
    group: str = ""  # whose rows belong on one side of a split as well
    tools: tuple[Mapping[str, Any], ...] = ()  # functions that the assistant may call

    @property
    def question(self) -> str:
        """The first user turn."""
        return next((m.content for m in self.messages if m.role == "user"), "")

    @property
    def answer(self) -> str:
        """What is learnt."""
        return "\n".join(m.text for m in self.messages if m.learn)

    def fold(self) -> "Folded":
        """Return the conversation without what makes no difference, the system's turn aside."""
        turns = [(m, folded(m.text)) for m in self.messages if m.role != "system"]
        return Folded(
            next((text for m, text in turns if m.role == "user"), ""),
            " ".join(text for m, text in turns if m.learn),
            " ".join(text for _, text in turns),
            self.group,
        )


class Folded(NamedTuple):
    """A conversation's first question, what is learnt of it, and all its turns, folded."""

    question: str
    answer: str
    text: str
    group: str

    @property
    def keys(self) -> tuple[int, int, int]:
        """Question, answer and group in 64 bits each, 0 for none.

        Rows that share one of them belong on one side of a split.
        """
        return (
            digest64(self.question or self.text),
            answer_digest(self.answer),
            digest64(self.group) if self.group else 0,
        )
