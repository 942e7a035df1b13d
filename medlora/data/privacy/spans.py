"""Where identifiers stand in a text, and one answer where several patterns claim a character."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_CONTENT = re.compile(r"\w")


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text are an identifier of the class `label`."""

    start: int
    end: int
    label: str


def merged(tiers: Iterable[Iterable[Span]], text: str) -> list[Span]:
    """Return spans in order, none over another, that cover all that was claimed.

    A claim of an earlier tier stands, of one tier the longest; what sticks out of another claim
    keeps that one's label.
    """
    owner: dict[int, str] = {}
    edges: set[int] = set()
    for claims in tiers:
        for span in sorted(claims, key=lambda span: span.start - span.end):
            free = [at for at in range(span.start, span.end) if at not in owner]
            owner.update(dict.fromkeys(free, span.label))
            edges.update(free[:1])
    return [
        _stripped(span, text)
        for span in _runs(owner, edges)
        if _CONTENT.search(text, span.start, span.end)
    ]


def _runs(owner: dict[int, str], edges: set[int]) -> Iterator[Span]:
    """Yield the stretches of one label; a claim's first character begins a new one."""
    start, last, label = -1, -2, ""
    for at in sorted(owner):
        if at != last + 1 or owner[at] != label or at in edges:
            if label:
                yield Span(start, last + 1, label)
            start, label = at, owner[at]
        last = at
    if label:
        yield Span(start, last + 1, label)


def _stripped(span: Span, text: str) -> Span:
    """Leave spaces and commas at either end out."""
    content = text[span.start : span.end]
    lost = len(content) - len(content.lstrip(" \t\n,;"))
    return span._replace(start=span.start + lost, end=span.start + len(content.rstrip(" \t\n,;")))
