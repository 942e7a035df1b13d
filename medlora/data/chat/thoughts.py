"""Thoughts: what a reasoning model writes before its answer, between a pair of tags.

`reasoning_content` of a message and a thought at the beginning of its text are one thing.
"""

import re
from typing import NamedTuple

# Tag that opens a thought -> tag that closes it, as the chat templates of the families write them:
# Qwen, DeepSeek, GLM; Magistral; Command-A; Seed-OSS; EXAONE; Hunyuan; Gemma 4; gpt-oss.
TAGS = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<seed:think>": "</seed:think>",
    "<thought>": "</thought>",
    "<think:opensource>": "</think:opensource>",
    "<|channel>thought": "<channel|>",
    "<|channel|>analysis<|message|>": "<|end|>",
}
# Those that mean nothing else; gpt-oss ends whole messages with what closes a thought.
OWN_TAGS = tuple(sorted({*TAGS, *TAGS.values()} - {"<|end|>"}, key=len, reverse=True))
# White space before the tag that closes a thought, and behind it, where it is not nothing.
_SPACE = {
    "<think>": ("\n", "\n\n"),
    "<thought>": ("\n", "\n\n"),
    "<|channel>thought": ("\n", ""),
}
_OPENERS = "|".join(map(re.escape, TAGS))
_OPENED = re.compile(rf"(?P<tag>{_OPENERS})(?P<space>\s*)\Z")
_WRITTEN = re.compile(rf"\s*(?P<tag>{_OPENERS})")

# What gpt-oss writes between a thought and the answer, or before an answer without one.
_HEADER = re.compile(r"\A\s*(?:<\|start\|>assistant)?\s*<\|channel\|>final<\|message\|>")


class Response(NamedTuple):
    """An answer and the thought before it; `ended` is false where the limit came within it."""

    answer: str
    thought: str | None = None
    ended: bool = True


def split_thought(text: str, *, opened: str | None = None) -> Response:
    """Part a text into the thought that it begins with, if it does, and the answer behind it.

    Args:
        text: what a model wrote, or an assistant's turn of a row.
        opened: the tag with which the prompt has opened a thought already.
    """
    begun = _WRITTEN.match(text)
    tag = begun["tag"] if begun else opened
    if tag is None:
        return Response(_HEADER.sub("", text))
    start = begun.end() if begun else 0
    end = text.find(TAGS[tag], start)
    if end < 0:
        return Response("", text[start:].strip(), ended=False)
    answer = _HEADER.sub("", text[end + len(TAGS[tag]) :])
    return Response(answer.strip(), text[start:end].strip())


class Inline(NamedTuple):
    """A message's text cut into thought and answer; all five parts together are the text."""

    before: str
    thought: str
    between: str
    answer: str
    after: str


def inline_thought(text: str) -> Inline | None:
    """Return the parts of a text that begins with a closed thought, None for any other."""
    begun = _WRITTEN.match(text)
    if begun is None:
        return None
    end = text.find(TAGS[begun["tag"]], begun.end())
    if end < 0:
        return None
    closed = end + len(TAGS[begun["tag"]])
    thought, answer = text[begun.end() : end], text[closed:]
    left = begun.end() + len(thought) - len(thought.lstrip())
    right = left + len(thought.strip())
    first = closed + len(answer) - len(answer.lstrip())
    last = first + len(answer.strip())
    return Inline(text[:left], text[left:right], text[right:first], text[first:last], text[last:])


def opened_thought(prompt: str) -> str | None:
    """Return the tag with which a prompt's end opens a thought, None where it opens none."""
    opening = _OPENED.search(prompt[-64:])
    return opening["tag"] if opening else None


def goes_on(prompt: str, text: str) -> bool:
    """Tell whether a text goes on with the thought that its prompt has opened, and closes it.

    A text that opens one again does not.  Where none is open, every text does.
    """
    tag = opened_thought(prompt)
    return tag is None or (TAGS[tag] in text and not _WRITTEN.match(text))


def written_thought(prompt: str, thought: str, *, closed: str = "") -> str:
    """Return a thought as it goes on from a prompt, up to where the answer begins.

    Args:
        prompt: rendered for an answer; it may have opened the thought.
        thought: empty for a thought that is closed at once.
        closed: what the template itself closes a thought with; else the white space around it is
            that of the reasoning models.
    """
    opening = _OPENED.search(prompt[-64:])
    tag = opening["tag"] if opening else "<think>"
    before, after = _SPACE.get(tag, ("", ""))
    head = "" if opening else f"{tag}{before}"
    if opening and thought and not opening["space"]:
        head = before
    if TAGS[tag] in closed:
        return f"{head}{thought}{before if thought else ''}{closed[closed.index(TAGS[tag]) :]}"
    return f"{head}{thought}{before}{TAGS[tag]}{after}"
