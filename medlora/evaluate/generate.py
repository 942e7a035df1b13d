"""Greedy answers to prompts; the model and every random state are left as they were.

An answer is the same in a batch of any size.  A batch changes the last bits of the logits, and so
which of two nearly equal ones is the larger: where the two largest are that close, the row is
computed once more by itself, without padding and cache, and that decides.

B prompts in a batch, T positions, padded on the left; V vocabulary entries.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

from medlora.data.batches import pad_id_of
from medlora.data.chat.chat import Chat
from medlora.data.conversation_record import Message
from medlora.errors import DataError, MedloraError, MissingPartError, reason_of
from medlora.evaluate.shrinking_batches import in_batches
from medlora.model.kinds import position_limit
from medlora.runtime.library_errors import ran_out_of_memory
from medlora.train.forward import evaluation_mode, rounding_tolerance

Poll = Callable[[], None]
Listen = Callable[[Tensor], None]  # gets the tokens so far, int64 [B, T], at every token
Conversation = Sequence[Mapping[str, str]]  # turns of role and content, the user's last
# Two logits this close, as a share of the largest, may change places by rounding.
_CLOSE, _CLOSE_HALF = 1e-4, 1e-2


class Answer(NamedTuple):
    """What the model said, the thought before it apart.

    `cut` tells that it was not done when the limit came, `unended` that it was still thinking.
    """

    text: str
    cut: bool
    thought: str | None = None
    unended: bool = False


class _Question(NamedTuple):
    """A prompt's tokens, int64 [T], and how many an answer may have."""

    ids: Tensor
    room: int


def check_writes(model: Any) -> None:  # noqa: ANN401
    """Refuse a base that cannot write one token after another, before it is asked anything.

    Raises:
        MissingPartError: its own code fails at it.
    """
    ids = torch.ones(1, 3, dtype=torch.int64, device=next(model.parameters()).device)
    try:
        with _asked_plainly(model), torch.no_grad():
            model.generate(ids, attention_mask=ids, max_new_tokens=2)
    except MedloraError:
        raise
    except Exception as error:  # whatever a family's own code raises
        if ran_out_of_memory(error):
            raise
        raise MissingPartError(
            f"text generation with this base failed ({type(error).__name__}: {reason_of(error)})",
            fix="compare its config.json with that of the source, or use another base",
        ) from error


def answers(
    model: Any,  # noqa: ANN401  (anything with transformers' generate)
    chat: Chat,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    poll: Poll = lambda: None,
) -> list[str]:
    """Return the text of one answer for each prompt, asked one by one; see `generate`."""
    generated = generate(
        model, chat, prompts, max_new_tokens=max_new_tokens, batch_size=1, poll=poll
    )
    return [answer.text for answer in generated]


def generate(
    model: Any,  # noqa: ANN401
    chat: Chat,
    prompts: Sequence[str | Conversation],
    *,
    max_new_tokens: int,
    batch_size: int,
    poll: Poll = lambda: None,
) -> list[Answer]:
    """Return one answer for each prompt, greedy, up to the end token or the limit.

    Whatever the base's own generation_config asks for (penalties, sampling) is left aside; of
    it only the end tokens count, beside the tokenizer's.

    Args:
        model: asked in evaluation mode; its mode is left as it was.
        chat: of the base.
        prompts: each begins a conversation of its own, or is one that goes on.
        max_new_tokens: where an answer is cut, unless the model's positions end before.
        batch_size: prompts that are answered together; changes nothing but speed.
        poll: called at every token; what it raises ends the asking.

    Raises:
        DataError: a prompt cannot be asked, see `encode_prompt`.
        OutOfMemoryError: a single prompt does not fit.
    """
    questions = [
        _question(model, chat, prompt, max_new_tokens=max_new_tokens) for prompt in prompts
    ]
    with _asked_plainly(model) as ends:
        return _in_order(model, chat, questions, ends, size=batch_size, listen=lambda _: poll())


def speak(
    model: Any,  # noqa: ANN401
    chat: Chat,
    prompt: str | Conversation,
    *,
    max_new_tokens: int,
    hear: Callable[[str], None],
) -> Answer:
    """Return the answer that `generate` gives, its text handed over piece by piece as it comes.

    Args:
        model: see `generate`.
        chat: of the base.
        prompt: a question, or a conversation.
        max_new_tokens: where the answer is cut.
        hear: gets each piece; all of them together are the text.
    """
    question = _question(model, chat, prompt, max_new_tokens=max_new_tokens)
    heard = ""

    def hear_more(text: str) -> None:
        nonlocal heard
        if text.startswith(heard) and len(text) > len(heard):
            hear(text[len(heard) :])
            heard = text

    def listen(so_far: Tensor) -> None:
        ids = so_far[0, len(question.ids) :]
        text = chat.response(ids.tolist(), question.ids.tolist()).answer
        if not text.endswith("\ufffd"):  # half a character: the rest is in the next token
            hear_more(text)

    with _asked_plainly(model) as ends:
        (answer,) = _in_order(model, chat, [question], ends, size=1, listen=listen)
    hear_more(answer.text)
    return answer


def _question(
    model: Any,  # noqa: ANN401
    chat: Chat,
    prompt: str | Conversation,
    *,
    max_new_tokens: int,
) -> _Question:
    limit = position_limit(model.config)
    ids = encode_prompt(chat, prompt, limit=limit)["input_ids"][0]
    room = max_new_tokens if limit is None else min(max_new_tokens, limit - len(ids))
    return _Question(ids, room)


@contextmanager
def _asked_plainly(model: Any) -> Iterator[set[int]]:  # noqa: ANN401
    """Ask in evaluation mode and by our settings alone; yield the end tokens of the base."""
    with torch.no_grad(), evaluation_mode(model), _plain_generation(model) as ends:
        yield ends


def encode_prompt(
    chat: Chat, prompt: str | Conversation, *, limit: int | None
) -> dict[str, Tensor]:
    """Return what is asked as the model takes it: input_ids and attention_mask, int64 [1, T].

    Args:
        chat: of the base.
        prompt: a question, or a conversation.
        limit: positions that the base has, see `position_limit`.

    Raises:
        DataError: the chat template refuses it, or it leaves no position for an answer.
    """
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    ids = torch.tensor([chat.prompt([Message(turn["role"], turn["content"]) for turn in turns])])
    tokens = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    length = ids.shape[1]
    if limit is not None and length >= limit:
        raise DataError(
            f"a prompt has {length} tokens, the model takes {limit} with the answer",
            fix="shorten the prompt",
        )
    return tokens


@contextmanager
def _plain_generation(model: Any) -> Iterator[set[int]]:  # noqa: ANN401
    """Set the base's own way to generate aside; yield the end tokens that it knows."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = base.generation_config
    ends = own.eos_token_id
    base.generation_config = GenerationConfig()
    try:
        yield {ends} if isinstance(ends, int) else set(ends or ())
    finally:
        base.generation_config = own


def _in_order(
    model: Any,  # noqa: ANN401
    chat: Chat,
    questions: Sequence[_Question],
    ends: set[int],
    *,
    size: int,
    listen: Listen,
) -> list[Answer]:
    """Answer questions of like length together; return the answers in the questions' order."""
    end, pad = chat.tokenizer.eos_token_id, chat.tokenizer.pad_token_id
    settings = GenerationConfig(
        do_sample=False,
        eos_token_id=sorted({*chat.stops, *ends}) or None,
        pad_token_id=pad_id_of(pad, end),
    )

    def compute(batch: Sequence[int]) -> list[Answer]:
        return _answer(model, chat, [questions[place] for place in batch], settings, listen)

    by_place: dict[int, Answer] = {}
    order = sorted(range(len(questions)), key=lambda p: (-questions[p].room, len(questions[p].ids)))
    # Only questions with as much room share a batch: none of it goes beyond its positions.
    for _, group in groupby(order, key=lambda place: questions[place].room):
        places = list(group)
        by_place.update(zip(places, in_batches(places, compute, size=size), strict=True))
    return [by_place[place] for place in range(len(questions))]


def _answer(
    model: Any,  # noqa: ANN401
    chat: Chat,
    questions: Sequence[_Question],
    settings: GenerationConfig,
    listen: Listen,
) -> list[Answer]:
    longest = max(len(question.ids) for question in questions)
    ids = torch.full((len(questions), longest), settings.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, question in enumerate(questions):
        ids[row, longest - len(question.ids) :] = question.ids
        mask[row, longest - len(question.ids) :] = 1
    settings.max_new_tokens = questions[0].room

    def look_up(so_far: Tensor, _scores: object, **_: object) -> Tensor:
        listen(so_far)
        return torch.zeros(len(so_far), dtype=torch.bool, device=so_far.device)  # never an end

    output = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=settings,
        logits_processor=LogitsProcessorList([_Arbiter(model, mask, settings.eos_token_id or [])]),
        stopping_criteria=[look_up],
    )
    stops = set(settings.eos_token_id or [])
    return [
        _read(chat, row, question, stops)
        for row, question in zip(output[:, longest:], questions, strict=True)
    ]


def _read(chat: Chat, row: Tensor, question: _Question, ends: set[int]) -> Answer:
    ids = row.tolist()
    length = next((place for place, token in enumerate(ids) if token in ends), None)
    reply = chat.response(ids[:length], question.ids.tolist())
    return Answer(reply.answer, length is None, reply.thought, unended=not reply.ended)


class _Arbiter(LogitsProcessor):  # type: ignore[misc]  # (an untyped library)
    """Decides between logits too close to call, by a pass that knows no batch."""

    def __init__(self, model: Any, mask: Tensor, ends: Sequence[int]) -> None:  # noqa: ANN401
        self._model, self._ends = model, torch.tensor(list(ends), dtype=torch.int64)
        self._padding = (mask == 0).sum(dim=1).tolist()
        self._prompt = mask.shape[1]
        self._share = rounding_tolerance(model, close=_CLOSE, half=_CLOSE_HALF)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the logits, float [B, V], with each row's choice beyond doubt.

        Args:
            input_ids: int64 [B, T], the prompt and what was said so far.
            scores: float [B, V].
        """
        top = scores.float().topk(2, dim=1).values
        close = top[:, 0] - top[:, 1] <= self._share * scores.float().abs().amax(dim=1)
        ended = torch.isin(input_ids[:, self._prompt :].cpu(), self._ends).any(dim=1)
        for row in (close.cpu() & ~ended).nonzero().flatten().tolist():
            alone = input_ids[row : row + 1, self._padding[row] :]
            logits = self._model(
                input_ids=alone, attention_mask=torch.ones_like(alone), use_cache=False
            ).logits[0, -1]
            scores[row, logits.argmax()] = torch.inf
        return scores
