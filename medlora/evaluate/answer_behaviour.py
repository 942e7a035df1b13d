"""How a model answers a few prompts: lengths, writing, what the safety checker finds."""

from collections.abc import Callable, Sequence
from statistics import fmean, pstdev
from typing import Any

from transformers import PreTrainedTokenizerBase

from medlora.data.chat.chat import Chat, chat_of
from medlora.errors import DataError
from medlora.evaluate.generate import Poll, answers
from medlora.evaluate.safety import SafetyChecker, shares
from medlora.evaluate.writing_quality import distinct_share


def performance(
    model: Any,  # noqa: ANN401  (anything with transformers' generate)
    tokenizer: PreTrainedTokenizerBase | Chat,
    prompts: Sequence[str],
    *,
    score: Callable[[str], float],
    max_new_tokens: int = 300,
    poll: Poll = lambda: None,
) -> dict[str, float]:
    """Return counts and means over the answers, never a text.

    Beside lengths and quality: what the safety checker finds, as `safety.shares` has it.

    The same answer to every prompt counts once: it is multiplied into the mean quality as the
    share of answers that differ.

    Args:
        model: asked greedily; no random number is drawn.
        tokenizer: without a chat template of its own it asks in the plain one.
        prompts: at least one.
        score: an answer's quality in 0..1.
        max_new_tokens: where an answer is cut.
        poll: called at every token; what it raises ends the asking.

    Raises:
        DataError: there is no prompt, or one that cannot be asked.
    """
    if not prompts:
        raise DataError("there is no test prompt", fix="give at least one")
    chat = chat_of(tokenizer, model)
    replies = answers(model, chat, prompts, max_new_tokens=max_new_tokens, poll=poll)
    checker = SafetyChecker()
    checks = [
        checker.check_safety_compliance(reply, prompt)
        for reply, prompt in zip(replies, prompts, strict=True)
    ]
    lengths = [len(reply.split()) for reply in replies]
    return {
        "avg_response_length": fmean(lengths),
        "avg_response_quality": fmean(map(score, replies)) * distinct_share(replies),
        "response_length_std": pstdev(lengths),
        "prompts": len(replies),
        **shares(checks),
    }
