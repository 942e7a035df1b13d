"""The lists that tell a name or a place from a word; read once, when first asked for."""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_FOLDER = _HERE / "lists"
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "ð": "d", "þ": "th", "ß": "ss", "æ": "ae", "đ": "d"})


def fold(word: str) -> str:
    """Return a word as the lists have it: lower case, without accents."""
    word = word.lower()
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFKD", word.translate(_LETTERS))
    return "".join(part for part in parts if not unicodedata.combining(part))


@dataclass(frozen=True, slots=True)
class Lists:
    """All of them, folded."""

    given: frozenset[str]
    surnames: frozenset[str]
    words: frozenset[str]
    eponyms: frozenset[str]
    regions: frozenset[str]  # states and countries: too large to identify anybody
    cities: frozenset[str]
    facilities: frozenset[str]
    first_words: dict[str, int]  # of places of several words: how many the longest has


@cache
def lists() -> Lists:
    """Return the lists."""
    cities, facilities = _read("cities"), _read("facilities")
    longest: dict[str, int] = {}
    for place in (*cities, *facilities):
        first, *rest = place.split()
        longest[first] = max(longest.get(first, 0), 1 + len(rest))
    return Lists(
        given=_read("given"),
        surnames=_read("surnames"),
        words=_read("words"),
        eponyms=_read("eponyms"),
        regions=_read("states") | _read("countries"),
        cities=cities,
        facilities=facilities,
        first_words=longest,
    )


def _read(name: str) -> frozenset[str]:
    return frozenset((_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines())


@cache
def scanner_digest() -> str:
    """Return the SHA-256 of the scanner's code and lists: what was found depends on it."""
    digest = hashlib.sha256()
    for path in sorted((*_HERE.glob("*.py"), *_FOLDER.glob("*.txt"))):
        content = path.read_bytes()
        digest.update(f"{path.name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()
