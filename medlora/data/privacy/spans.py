"""Where identifiers stand in a text, and one answer where several patterns claim a character."""

import re
from collections.abc import Iterable
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
    owner: list[Span] = []
    for found in tiers:
        for span in sorted(found, key=lambda span: span.start - span.end):
            owner.extend(_outside(span, owner))
    owner.sort()
    return _joined([_stripped(span, text) for span in owner if _CONTENT.search(text, *span[:2])])


def _stripped(span: Span, text: str) -> Span:
    """Leave spaces and commas at either end out."""
    content = text[span.start : span.end]
    lost = len(content) - len(content.lstrip(" \t\n,;"))
    return span._replace(start=span.start + lost, end=span.start + len(content.rstrip(" \t\n,;")))


def _outside(span: Span, taken: list[Span]) -> list[Span]:
    """Return the parts of a span that no taken one covers."""
    parts = [span]
    for other in taken:
        if other.start < span.end and span.start < other.end:
            parts = [
                piece
                for part in parts
                for piece in (
                    part._replace(end=min(part.end, other.start)),
                    part._replace(start=max(part.start, other.end)),
                )
                if piece.start < piece.end
            ]
    return parts


def _joined(spans: list[Span]) -> list[Span]:
    """Make one of neighbours with the same label that touch."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].end == span.start and joined[-1].label == span.label:
            joined[-1] = joined[-1]._replace(end=span.end)
        else:
            joined.append(span)
    return joined
