"""Markdown that holds whatever it is given: tables, and text that cannot break out of a cell."""

from collections.abc import Sequence

_SIGNIFICANT = 6


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; an empty text where there is no row."""
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines)


def cell(text: str) -> str:
    """Return a text in one line, with nothing that ends a cell or begins a tag."""
    one_line = " ".join(printable(text).split())
    return one_line.replace("|", "\\|").replace("<", "&lt;")


def printable(text: str) -> str:
    """Return a text that UTF-8 and XML can hold; a file's name may be any bytes."""
    return "".join(char if _is_allowed(ord(char)) else "\ufffd" for char in text)


def number(value: float | str) -> str:
    """Return a number for people: whole ones whole, others to six digits."""
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else f"{value:.{_SIGNIFICANT}g}"


def page(parts: Sequence[str]) -> bytes:
    """Return the parts of a page, an empty line between any two; empty parts go."""
    return ("\n\n".join(part.strip("\n") for part in parts if part) + "\n").encode()


def _is_allowed(code: int) -> bool:
    """Tell whether XML 1.0 allows a character.  Source: its section 2.2."""
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF  # noqa: PLR2004
        or 0xE000 <= code <= 0xFFFD  # noqa: PLR2004
        or code >= 0x10000  # noqa: PLR2004
    )
