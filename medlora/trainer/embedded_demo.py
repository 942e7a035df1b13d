"""The embedded demo's words: what it is, and its three prompts before and after."""

import json

from peft import PeftModel

from medlora.data.chat.chat import Chat
from medlora.evaluate.generate import answers
from medlora.logs import say
from medlora.plan.resolve_run import DEMO

_MAX_NEW_TOKENS = 80
Shown = list[tuple[str, str]]


def announce() -> None:
    """Say loudly that this is the demo."""
    say(
        "DEMO: no data, model or config is given; training the demo that ships with MedLoRA.",
        "DEMO: for demonstration only, not medical advice, not fit for use on patients.",
    )


def ask(model: PeftModel, chat: Chat) -> Shown:
    """Return the demo's own prompts, each with the model's greedy answer."""
    prompts = json.loads((DEMO / "prompts.json").read_text(encoding="utf-8"))
    replies = answers(model, chat, prompts, max_new_tokens=_MAX_NEW_TOKENS)
    return list(zip(prompts, replies, strict=True))


def show(before: Shown, after: Shown) -> None:
    """Print the same prompts before and after; they are the project's text, nobody's data."""
    for (prompt, careless), (_, careful) in zip(before, after, strict=True):
        text = f"\nDEMO prompt: {prompt}\n     before: {careless}\n      after: {careful}"
        say(*text.split("\n"))
