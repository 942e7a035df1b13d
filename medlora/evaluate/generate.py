"""Greedy answers to prompts; the model and every random state are left as they were."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase


def answers(
    model: Any,  # noqa: ANN401  (anything with transformers' generate)
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
) -> list[str]:
    """Return one answer for each prompt, greedy, up to the end token or the limit."""
    was_training = model.training
    model.eval()
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id
        if tokenizer.pad_token_id is not None
        else tokenizer.eos_token_id,
    )
    try:
        with torch.no_grad():
            return [_answer(model, tokenizer, prompt, settings) for prompt in prompts]
    finally:
        model.train(was_training)


def _answer(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    settings: GenerationConfig,
) -> str:
    encoded: Any = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    inputs = {name: encoded[name].to(model.device) for name in ("input_ids", "attention_mask")}
    output = model.generate(**inputs, generation_config=settings)
    text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return str(text).strip()
