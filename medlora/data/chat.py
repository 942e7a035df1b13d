"""Conversations as tokens, with a mask of the tokens that carry loss: the assistant's turns.

T is the number of tokens of one conversation.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from medlora.data.problems import Problem
from medlora.data.records import Message, Record
from medlora.errors import ConfigError

# Used where the tokenizer has no chat template of its own.  Saved with the adapter, so that
# whoever serves it renders the same text.
PLAIN_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ '### Question\n' + message['content'] + '\n\n' }}"
    "{% else %}{{ '### Answer\n' }}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\n\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Answer\n' }}{% endif %}"
)

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_MARK = re.compile(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})")


@dataclass(frozen=True, slots=True)
class Tokens:
    """One conversation, uncut; `line` is where it stands in its file."""

    line: int
    ids: NDArray[np.int32]  # int32 [T]
    learn: NDArray[np.bool_]  # bool [T]


def ensure_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Give the tokenizer the plain template if it has none; return whether it had to.

    Raises:
        ConfigError: the tokenizer cannot mark the end of an answer or report offsets.
    """
    if not tokenizer.is_fast:
        raise ConfigError(
            "the base model's tokenizer has no tokenizer.json",
            fix="save it in the fast format: AutoTokenizer.from_pretrained(...).save_pretrained()",
        )
    if tokenizer.chat_template:
        return False
    if tokenizer.eos_token is None:
        raise ConfigError(
            "the tokenizer has neither a chat template nor an eos_token",
            fix="set eos_token in the base model's tokenizer_config.json",
        )
    tokenizer.chat_template = PLAIN_TEMPLATE
    return True


def without_marks(template: str) -> str:
    """Return a template that renders the same and has no `{% generation %}` marks.

    They are Hugging Face's own: other engines of Jinja refuse a template that has them.  A
    condition that always holds stands in their place, for it trims spaces in the same way.
    """
    return _MARK.sub(lambda m: f"{m[1]}{'endif' if m[2] else 'if true'}{m[3]}", template)


def tokenize(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Record], *, encode: bool = True
) -> Iterator[Tokens | Problem]:
    """Yield the tokens of each conversation, in order; a Problem for one it cannot render.

    The mask follows the template's `{% generation %}` marks; without them, a turn's tokens
    are those between rendering the conversation up to it and up to its end.

    Args:
        tokenizer: the base's own, with a template.
        rows: conversations; they are encoded in one go.
        encode: without it only the Problems are found, which takes a tenth of the time.
    """
    render = _renderer(tokenizer)
    drafts = [_draft(render, row) for row in rows]
    texts = [draft.text for draft in drafts if isinstance(draft, _Draft)]
    encodings = iter(_encode(tokenizer, texts) if encode else ())
    for draft in drafts:
        if isinstance(draft, Problem):
            yield draft
        elif encode:
            ids, encoding = next(encodings)
            learn = _marked(encoding, draft) if draft.marked else _between(encoding, draft)
            yield Tokens(draft.line, np.array(ids, dtype=np.int32), learn)


class _Span(NamedTuple):
    """Characters of a rendered conversation."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rendered conversation and the characters that carry loss."""

    line: int
    text: str
    spans: list[_Span]
    marked: bool  # by the template itself


class _UnstableTemplateError(Exception):
    """Rendering the first turns is no prefix of rendering all."""


class _UncountableError(Exception):
    """Not one mark for each of the assistant's turns, so none can be left out."""


@dataclass(frozen=True, slots=True)
class _Renderer:
    template: str
    names: dict[str, str]  # bos_token and the like, as the template calls them
    marked: bool

    def __call__(
        self, messages: Sequence[Message], *, answer_next: bool = False
    ) -> tuple[str, list[_Span]]:
        """Return the text and what the template marks in it."""
        texts, marks = render_jinja_template(
            conversations=[[{"role": m.role, "content": m.content} for m in messages]],
            chat_template=self.template,
            return_assistant_tokens_mask=self.marked,
            add_generation_prompt=answer_next,
            **self.names,
        )
        return texts[0], [_Span(*mark) for mark in marks[0]] if self.marked else []


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the chat template that conversations are rendered with."""
    return str(tokenizer.get_chat_template())


def _renderer(tokenizer: PreTrainedTokenizerBase) -> _Renderer:
    template = template_of(tokenizer)
    names = dict(tokenizer.special_tokens_map)
    return _Renderer(template, names, bool(_GENERATION.search(template)))


def _draft(render: _Renderer, row: Record) -> _Draft | Problem:
    if row.messages[0].role == "text":
        return _plain_draft(render, row)
    try:
        text, marks = render(row.messages)
        spans = _wanted(marks, row) if render.marked else _answers(render, row, text)
    except TemplateError:
        roles = ", ".join(message.role for message in row.messages)
        found = f"the chat template refuses the turns {roles}"
        return Problem(row.line, found, "reorder them, or use a base with another template")
    except _UnstableTemplateError:
        found = "the chat template rewrites earlier turns, so the answer cannot be found"
        return Problem(row.line, found, "add {% generation %} marks to the template")
    except _UncountableError:
        found = "the chat template does not mark each answer once, so none can have weight 0"
        return Problem(row.line, found, "leave the weights out, or mend the template's marks")
    return _Draft(row.line, text, spans, render.marked)


def _plain_draft(render: _Renderer, row: Record) -> _Draft:
    """Return a text between the marks of its beginning and its end; all but the first is learnt."""
    begin, end = (render.names.get(name) or "" for name in ("bos_token", "eos_token"))
    text = f"{begin}{row.messages[0].content}{end}"
    return _Draft(row.line, text, [_Span(len(begin), len(text))], marked=False)


def _wanted(marks: list[_Span], row: Record) -> list[_Span]:
    """Leave out the marks of the assistant's turns that carry no weight."""
    wanted = [message.learn for message in row.messages if message.role == "assistant"]
    if all(wanted):
        return marks
    if len(marks) != len(wanted):
        raise _UncountableError
    return [mark for mark, learn in zip(marks, wanted, strict=True) if learn]


def _answers(render: _Renderer, row: Record, whole: str) -> list[_Span]:
    """Find the turns to learn in a text without marks, by rendering up to them."""
    spans, count = [], len(row.messages)
    for end, message in enumerate(row.messages, start=1):
        if message.learn:
            before, _ = render(row.messages[: end - 1], answer_next=True)
            until = whole if end == count else render(row.messages[:end])[0]
            if not (whole.startswith(until) and until.startswith(before)):
                raise _UnstableTemplateError
            spans.append(_Span(len(before), len(until)))
    return spans


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> Iterable[tuple[list[int], Encoding]]:
    if not texts:
        return ()
    # Special tokens stand in the template already.
    encoded: Any = tokenizer(
        texts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return zip(encoded["input_ids"], encoded.encodings, strict=True)


def _marked(encoding: Encoding, draft: _Draft) -> NDArray[np.bool_]:
    """Return the mask of the marked characters' tokens.

    Source: transformers' `return_assistant_tokens_mask`, which this must agree with.
    """
    learn = np.zeros(len(encoding), dtype=bool)
    for start, end in draft.spans:
        first = encoding.char_to_token(start)
        if first is None:
            break
        last = encoding.char_to_token(max(end - 1, 0))
        learn[first : last + 1 if last else len(learn)] = True
    return learn


def _between(encoding: Encoding, draft: _Draft) -> NDArray[np.bool_]:
    """Return the mask of the tokens that end within the answers."""
    ends = np.array([end for _, end in encoding.offsets], dtype=np.int64)
    learn = np.zeros(len(ends), dtype=bool)
    for start, end in draft.spans:
        learn |= (ends > start) & (ends <= end)
    return learn
