"""Greedy answers to prompts; the model and every random state are left as they were.

T is the number of tokens of one prompt.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from medlora.errors import DataError
from medlora.model.base import position_limit

Poll = Callable[[], None]


def answers(
    model: Any,  # noqa: ANN401  (anything with transformers' generate)
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    poll: Poll = lambda: None,
) -> list[str]:
    """Return one answer for each prompt, greedy, up to the end token or the limit.

    Args:
        model: asked in evaluation mode; its mode is left as it was.
        tokenizer: with a chat template.
        prompts: each begins a conversation of its own.
        max_new_tokens: where an answer is cut, unless the model's positions end before.
        poll: called at every token; what it raises ends the asking.

    Raises:
        DataError: a prompt cannot be asked, see `encode_prompt`.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return [_answer(model, tokenizer, one, max_new_tokens, poll) for one in prompts]
    finally:
        model.train(was_training)


def encode_prompt(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
) -> dict[str, Tensor]:
    """Return a prompt as the model takes it: input_ids and attention_mask, int64 [1, T].

    Raises:
        DataError: the chat template refuses it, or it leaves no position for an answer.
    """
    try:
        encoded: Any = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )
    except TemplateError:
        raise DataError(
            "the chat template refuses a conversation that begins with the user's turn",
            fix="set training.generation_steps: null, or use a base with another template",
        ) from None
    tokens = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    length, limit = tokens["input_ids"].shape[1], position_limit(model.config)
    if limit is not None and length >= limit:
        raise DataError(
            f"a prompt has {length} tokens, the model takes {limit} with the answer",
            fix="shorten the prompt",
        )
    return tokens


def _answer(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    max_new_tokens: int,
    poll: Poll,
) -> str:
    tokens = encode_prompt(model, tokenizer, prompt)
    length, limit = tokens["input_ids"].shape[1], position_limit(model.config)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens if limit is None else min(max_new_tokens, limit - length),
        do_sample=False,
        eos_token_id=end,
        pad_token_id=end if pad is None else pad,
    )

    def look_up(ids: Tensor, _scores: object, **_: object) -> Tensor:
        poll()
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)  # never an end

    output = model.generate(
        **{name: tensor.to(model.device) for name, tensor in tokens.items()},
        generation_config=settings,
        stopping_criteria=[look_up],
    )
    text = tokenizer.decode(output[0, length:], skip_special_tokens=True)
    return str(text).strip()
