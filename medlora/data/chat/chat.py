"""Conversations as tokens, with a mask of the tokens that carry loss: the assistant's turns.

What a base is taught is what it is asked: training, evaluation and serving get their ids here.

T is the number of tokens of one example.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from medlora.data.chat.controls import Controls
from medlora.data.chat.encoding import (
    CannotEncodeError,
    Encoded,
    Encoder,
    Piece,
    apart,
    pieces_of,
)
from medlora.data.chat.template import PLAIN_TEMPLATE, RefusedError, Template, today
from medlora.data.chat.thoughts import Response, opened_thought, split_thought
from medlora.data.chat.turn_rendering import Turn, TurnRenderer, UnfitError
from medlora.data.conversation_record import Message, Record
from medlora.data.problems import Problem
from medlora.errors import ConfigError, DataError
from medlora.runtime.library_errors import in_our_words

_PROBE = (Message("system", "s"), Message("user", "u"), Message("assistant", "a"))
_OPENING = 24  # tokens at the end of a prompt that may open a thought
_TOOL_USE = "tool_use"  # transformers' name of the template for rows with tools


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example, uncut; `line` is where its row stands in its file."""

    line: int
    ids: NDArray[np.int32]  # int32 [T]
    learn: NDArray[np.bool_]  # bool [T]


@dataclass(frozen=True, slots=True)
class ChatRules:
    """What decides how conversations are rendered, beside the base.

    Attributes:
        arguments: what the template gets beside the messages: data.chat_template_kwargs.
        template: the text of data.chat_template, or the name of one of the tokenizer's; None for
            the base's own.
        template_name: what errors call it.
        reasoning: data.reasoning.
        control_tokens: data.control_tokens.
        merge_system: data.merge_system.
        day: what a template takes for today; None for the day that it is.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    template_name: str | None = None
    reasoning: str = "auto"
    control_tokens: str = "text"
    merge_system: bool = False
    day: date | None = None


class Chat:
    """A base's tokenizer with its chat template: conversations in, tokens out.

    Attributes:
        tokenizer: with the template that is used, so that it is saved with it.
        rules: of the config.
        template: of rows without tools.
        stops: ids of the tokens that end an answer.
        counts: what was done to rows, by what it is.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        rules: ChatRules | None = None,
        stops: Sequence[int] = (),
        embeddings: int | None = None,
    ) -> None:
        """Choose the template and look at it once.

        Args:
            tokenizer: of the base; gets the plain template if it has none.
            rules: of the config.
            stops: ids of tokens that end an answer, beside the tokenizer's eos_token.
            embeddings: rows of the base's embeddings; None if nobody knows.

        Raises:
            ConfigError: the tokenizer or its template cannot be used.
            DataError: a token that ends an answer is none of the base's.
        """
        self.tokenizer, self.rules = tokenizer, rules or ChatRules()
        self.is_plain = ensure_template(tokenizer, self.rules)
        self.template = self._template(_source(tokenizer, tools=False))
        self.template.check()
        self._template(_source(tokenizer, tools=True)).check()  # at no cost if it is the same
        end = tokenizer.eos_token_id
        self.stops = sorted({*stops, *(() if end is None else (end,))})
        self.counts: Counter[str] = Counter()
        self._embeddings = embeddings
        self._check_embedded(self.stops)
        self._controls = Controls.of(tokenizer, written=self._written(), stops=self.stops)
        self._encoder = Encoder(tokenizer, self._controls)
        self._renderers = {False: self._renderer(self.template)}

    @property
    def day(self) -> date:
        """What the template takes for today."""
        return self.template.day

    @property
    def decides(self) -> dict[str, Any]:
        """What decides the tokens beside the tokenizer and the rows; JSON."""
        return {
            "template": self.tokenizer.chat_template,
            "arguments": dict(self.rules.arguments),
            "reasoning": self.rules.reasoning,
            "control_tokens": self.rules.control_tokens,
            "merge_system": self.rules.merge_system,
            "stops": self.stops,
            "embeddings": self._embeddings,
            "day": self.day.isoformat() if self.asks_for_the_date else None,
        }

    @property
    def asks_for_the_date(self) -> bool:
        """Whether the day decides what is rendered."""
        return "strftime_now" in str(self.tokenizer.chat_template)

    def tokenize(
        self, rows: Sequence[Record], *, encode: bool = True
    ) -> Iterator[list[Tokens] | Problem]:
        """Yield the examples of each conversation, in order; a Problem for one that has none.

        Args:
            rows: conversations; they are encoded in one go.
            encode: without it only Problems are found, which takes a tenth of the time.
        """
        drafts = [self._draft(row) for row in rows]
        examples = [
            piece for draft in drafts if isinstance(draft, _Draft) for piece in draft.examples
        ]
        encoded = self._encoded(examples) if encode else iter(())
        for draft in drafts:
            if isinstance(draft, Problem):
                yield draft
            elif encode:
                yield self._tokens(draft, [next(encoded) for _ in draft.examples])

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> list[int]:
        """Return the ids of what a server sends for the next answer.

        Raises:
            ConfigError: the template does not end.
            DataError: the template does not take these messages, or the tokenizer not their text.
        """
        try:
            with self.template.limited("a prompt"):
                own, _ = self._texts_kept(messages)
                text = self._renderer_for(tools).prompt(own, tools)
            ids = self._encoder.ids(text)
        except UnfitError as error:
            raise DataError(error.fault, fix=error.fix) from None
        except RefusedError as error:
            raise DataError(f"the chat template {error}", fix="use another template") from None
        except CannotEncodeError as error:
            raise DataError(f"a message {error}", fix="remove that text from it") from None
        self._check_embedded(ids)
        return ids

    def _check_embedded(self, ids: Sequence[int]) -> None:
        """Refuse ids that the base has no embeddings for.

        Raises:
            DataError: there are such ids.
        """
        largest = max(ids, default=0)
        if self._embeddings is not None and largest >= self._embeddings:
            raise DataError(
                f"the tokenizer produces the id {largest}, but the base has "
                f"{self._embeddings} embeddings",
                fix="use the tokenizer that belongs to the base",
            )

    def response(self, ids: Sequence[int], prompt: Sequence[int]) -> Response:
        """Return what some tokens say, the thought before an answer apart.

        Args:
            ids: of a model, without the token that ended it.
            prompt: what it answered, which may have opened a thought.
        """
        opened = opened_thought(self.decoded(list(prompt[-_OPENING:])))
        text = self.decoded(ids)
        whole = split_thought(text, opened=opened)
        if whole == Response(text):  # nothing of a thought: as every tool reads it
            return Response(self.decoded(ids, skip_special_tokens=True).strip())
        return whole._replace(answer=self._controls.without(whole.answer).strip())

    def decoded(self, ids: Sequence[int], **options: bool) -> str:
        """Return the text of some tokens.

        Args:
            ids: of the tokens.
            options: of transformers' `decode`.

        Raises:
            MissingPartError: the tokenizer's decoder gives up.
        """
        with in_our_words():
            return str(self.tokenizer.decode(ids, **options))

    def encoded(self, text: str) -> list[int]:
        """Return the ids of a text in no template, with what the tokenizer puts around one.

        Raises:
            MissingPartError: the tokenizer gives up.
        """
        with in_our_words():
            ids: list[int] = self.tokenizer.encode(text)
        return ids

    # Rendering

    def _draft(self, row: Record) -> "_Draft | Problem":
        turns: tuple[Turn, ...] = ()
        try:
            with self.template.limited(f"row {row.line}"):
                messages, spelled = self._texts_kept(row.messages)
                if messages[0].role == "text":
                    examples = [self._plain_pieces(messages[0])]
                else:
                    tools = list(row.tools) or None  # to some templates an empty list is one
                    renderer = self._renderer_for(tools)
                    turns = tuple(renderer.turns(messages, tools))
                    self.counts.update(renderer.counts)
                    renderer.counts.clear()
                    examples = pieces_of(turns)
        except UnfitError as error:
            return Problem(row.line, error.fault, error.fix, error.field)
        except RefusedError as error:
            fault = f"the chat template {error}"
            return Problem(row.line, fault, "use a base with another template")
        self.counts["rows_that_spell_control_tokens"] += spelled
        return _Draft(row.line, examples, turns)

    def _texts_kept(self, messages: Sequence[Message]) -> tuple[list[Message], bool]:
        """Return messages whose texts make no control token, and whether any would have.

        Raises:
            UnfitError: one would, and data.control_tokens is fail, or it cannot be kept text.
        """
        kept, spelled = [], False
        for place, message in enumerate(messages):
            control = self._spelled_in(message)
            if control and self.rules.control_tokens == "fail":
                raise UnfitError(
                    f"contains the control token {control}, and data.control_tokens is fail",
                    "remove it, or set data.control_tokens: text",
                    field=f"messages[{place}].content",
                )
            texts = (message.content, message.reasoning or "")
            letter = next(filter(None, map(self._controls.unbreakable, texts)), None)
            if letter:
                raise UnfitError(
                    f"contains {letter}, which this base's tokenizer treats as a control token",
                    "remove it, or use a base whose control tokens are longer than one character",
                    field=f"messages[{place}].content",
                )
            kept.append(self._broken(message) if control else message)
            spelled = spelled or bool(control)
        return kept, spelled

    def _spelled_in(self, message: Message) -> str | None:
        first = self._controls.first_spelled
        return first(message.content) or (message.reasoning and first(message.reasoning)) or None

    def _broken(self, message: Message) -> Message:
        """Return a message whose texts spell no control token."""
        broken = self._controls.broken
        reasoning = None if message.reasoning is None else broken(message.reasoning)
        return message._replace(content=broken(message.content), reasoning=reasoning)

    def _plain_pieces(self, message: Message) -> list[Piece]:
        """Return a text between its marks of begin and end; all but the first is learnt."""
        names = self.template.names
        begin, end = (names.get(name) or "" for name in ("bos_token", "eos_token"))
        return [Piece(begin, learnt=False), Piece(f"{message.content}{end}", learnt=True)]

    # Encoding

    def _encoded(self, examples: Sequence[Sequence[Piece]]) -> Iterator[Encoded | str | None]:
        """Yield each example's tokens; one by one if any of them cannot be encoded."""
        try:
            yield from list(self._encoder.encode(examples))
        except CannotEncodeError:
            for example in examples:
                try:
                    yield from self._encoder.encode([example])
                except CannotEncodeError as error:
                    yield str(error)

    def _tokens(
        self, draft: "_Draft", encodings: Sequence[Encoded | str | None]
    ) -> list[Tokens] | Problem:
        if None in encodings:  # its turns merge into their surroundings
            encodings = list(self._encoded(apart(draft.turns)))
        if len(encodings) > 1:
            self.counts["rows_taught_turn_by_turn"] += 1
            self.counts["examples_of_these"] += len(encodings)
        made = []
        for encoding in encodings:
            if encoding is None or isinstance(encoding, str):
                fix = "remove that text, or set data.control_tokens: fail to list all such rows"
                return Problem(draft.line, f"a message {encoding or 'cannot be encoded'}", fix)
            largest = int(encoding.ids.max(initial=0))
            if self._embeddings is not None and largest >= self._embeddings:
                return Problem(
                    draft.line,
                    f"the tokenizer produces the id {largest}, but the base has "
                    f"{self._embeddings} embeddings",
                    "use the tokenizer that belongs to the base",
                )
            made.append(Tokens(draft.line, encoding.ids, encoding.learn))
        return made

    # Of what it is made

    def _template(self, source: str) -> Template:
        return Template(
            self.rules.template_name or "chat_template.jinja",
            source,
            dict(self.tokenizer.special_tokens_map),
            dict(self.rules.arguments),
            self.rules.day or today(),
        )

    def _renderer_for(self, tools: Sequence[Any] | None) -> TurnRenderer:
        has_tools = bool(tools)
        if has_tools not in self._renderers:
            source = _source(self.tokenizer, tools=True)
            same = source == self.template.source
            self._renderers[True] = (
                self._renderers[False] if same else self._renderer(self._template(source))
            )
        return self._renderers[has_tools]

    def _renderer(self, template: Template) -> TurnRenderer:
        strings = self.tokenizer.convert_ids_to_tokens(self.stops)
        known = [text for text in strings if text in self._controls.strings]
        return TurnRenderer(
            template,
            known,
            self.tokenizer.eos_token,
            self.rules.reasoning,
            self.rules.merge_system,
        )

    def _written(self) -> str:
        """Return what the template writes around messages."""
        for probe in (_PROBE, _PROBE[1:]):
            turns = [{"role": message.role, "content": message.content} for message in probe]
            try:
                with self.template.limited("three messages"):
                    return self.template.render(turns) + self.template.render(
                        turns[:-1], answer_next=True
                    )
            except RefusedError:
                continue
        return ""


def chat_of(tokenizer: PreTrainedTokenizerBase | Chat, model: Any = None) -> Chat:  # noqa: ANN401
    """Return a tokenizer with its chat template; the tokenizer itself is left as it is.

    Args:
        tokenizer: of a base; a `Chat` is returned as it is.
        model: whose generation_config names the tokens that end an answer.
    """
    if isinstance(tokenizer, Chat):
        return tokenizer
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    stops = [ends] if isinstance(ends, int) else list(ends or ())
    return Chat(deepcopy(tokenizer), stops=stops)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rendered row: its examples, and the turns that they are made of."""

    line: int
    examples: list[list[Piece]]
    turns: tuple[Turn, ...]


def ensure_template(tokenizer: PreTrainedTokenizerBase, rules: ChatRules | None = None) -> bool:
    """Give the tokenizer the template that is wanted, or the plain one if it has none.

    Returns:
        Whether it is the plain one.

    Raises:
        ConfigError: the tokenizer cannot mark the end of an answer, or has no such template.
    """
    if not tokenizer.is_fast:
        raise ConfigError(
            "the base model's tokenizer has no tokenizer.json",
            fix="save it in the fast format: AutoTokenizer.from_pretrained(...).save_pretrained()",
        )
    wanted = rules.template if rules else None
    own = tokenizer.chat_template
    if wanted is not None:
        if isinstance(own, dict) and wanted in own:
            tokenizer.chat_template = own[wanted]
        else:
            tokenizer.chat_template = wanted
        return False
    if isinstance(own, dict) and "default" not in own:
        names = ", ".join(sorted(own))
        raise ConfigError(
            f"the tokenizer has several chat templates ({names}) and none is the default",
            fix=f"name one of them in data.chat_template, e.g. {min(own)}",
        )
    if own:
        return bool(own == PLAIN_TEMPLATE)
    if tokenizer.eos_token is None:
        raise ConfigError(
            "the tokenizer has neither a chat template nor an eos_token",
            fix="set eos_token in the base model's tokenizer_config.json",
        )
    tokenizer.chat_template = PLAIN_TEMPLATE
    return True


def _source(tokenizer: PreTrainedTokenizerBase, *, tools: bool) -> str:
    """Return the template that conversations are rendered with."""
    own = tokenizer.chat_template
    if isinstance(own, dict):
        return str(own[_TOOL_USE] if tools and _TOOL_USE in own else own["default"])
    return str(own)
