"""Conversations as tokens, with a mask of the tokens that carry loss: the assistant's turns.

T is the number of tokens of one conversation.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

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
_CHUNK_ROWS = 512


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


def tokenize(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Record]
) -> Iterator[Tokens | Problem]:
    """Yield the tokens of each conversation, in order; a Problem for one it cannot render.

    The mask follows the template's `{% generation %}` marks; without them, a turn's tokens
    are those between rendering the conversation up to it and up to its end.
    """
    marked = bool(_GENERATION.search(str(tokenizer.chat_template)))
    encode = _encode_marked if marked else _encode_by_prefix
    for start in range(0, len(rows), _CHUNK_ROWS):
        for row in rows[start : start + _CHUNK_ROWS]:
            try:
                ids, learn = encode(tokenizer, row.messages)
            except TemplateError:
                roles = ", ".join(message.role for message in row.messages)
                found = f"the chat template refuses the turns {roles}"
                yield Problem(row.line, found, "reorder them, or use a base with another template")
            except _UnstableTemplateError:
                found = "the chat template rewrites earlier turns, so the answer cannot be found"
                yield Problem(row.line, found, "add {% generation %} marks to the template")
            else:
                yield Tokens(row.line, ids, learn)


class _UnstableTemplateError(Exception):
    """Rendering the first turns is no prefix of rendering all."""


def _encode_marked(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    encoded: Any = tokenizer.apply_chat_template(
        _turns(messages),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    learn = np.array(encoded["assistant_masks"], dtype=bool)
    wanted = [message.learn for message in messages if message.role == "assistant"]
    if not all(wanted):
        _forget(learn, wanted)
    return np.array(encoded["input_ids"], dtype=np.int32), learn


def _forget(learn: NDArray[np.bool_], wanted: list[bool]) -> None:
    """Clear the mask of the assistant's turns that carry no weight, in place."""
    position, turn = 0, 0
    for value, run in groupby(learn.tolist()):
        length = len(list(run))
        if value:
            learn[position : position + length] = wanted[turn]
            turn += 1
        position += length


def _encode_by_prefix(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    whole = _render(tokenizer, messages)
    encoded: Any = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    learn = np.zeros(len(offsets), dtype=bool)
    for end, message in enumerate(messages, start=1):
        if message.learn:
            before = _render(tokenizer, messages[: end - 1], answer_next=True)
            until = _render(tokenizer, messages[:end])
            if not (whole.startswith(until) and until.startswith(before)):
                raise _UnstableTemplateError
            learn |= (offsets[:, 1] > len(before)) & (offsets[:, 1] <= len(until))
    return np.array(encoded["input_ids"], dtype=np.int32), learn


def _render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, answer_next: bool = False
) -> str:
    rendered = tokenizer.apply_chat_template(
        _turns(messages), tokenize=False, add_generation_prompt=answer_next
    )
    return str(rendered)


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
