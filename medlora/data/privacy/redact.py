"""Texts and rows with their identifiers replaced by the names of the classes."""

from collections.abc import Sequence

from medlora.data.privacy.row_texts import Text, literal
from medlora.data.privacy.spans import Span


def redact_text(text: str, spans: Sequence[Span]) -> str:
    """Return a text with each span replaced by its label in brackets, e.g. [DATE]."""
    parts, last = [], 0
    for span in spans:
        parts += [text[last : span.start], f"[{span.label}]"]
        last = span.end
    return "".join([*parts, text[last:]])


def redact_line(line: str, identified: Sequence[tuple[Text, Sequence[Span]]]) -> str:
    """Return a JSON line with the found spans replaced; every other byte stays as it is."""
    parts, last = [], 0
    for text, spans in identified:
        written = line[text.start : text.end]
        parts += [line[last : text.start], literal(redact_text(text.value, spans), like=written)]
        last = text.end
    return "".join([*parts, line[last:]])
