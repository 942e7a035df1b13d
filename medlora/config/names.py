"""The names of all keys and sections, and which of them was meant by a name that is none."""

from collections.abc import Iterable

from medlora.config.declaration import Section
from medlora.config.schema import KEYS, RunConfig, about, all_keys, section_at

# What other tools call a key, and people who come from there; a plain name, without its section.
_ELSEWHERE = {name: key for key in all_keys() for name in about(key).also}
_WORD = 3  # letters that name something, wherever they stand
_FAR = 3  # edits that no typing mistake has; fewer where a name is short


def _sections(section: type[Section] = RunConfig, path: tuple[str, ...] = ()) -> Iterable[str]:
    for name in section.model_fields:
        below = section_at((*path, name))
        if below:
            yield ".".join((*path, name))
            yield from _sections(below, (*path, name))


SECTIONS = frozenset(_sections())


def nearest_key(path: tuple[str, ...]) -> str | None:
    """Return the key that was most likely meant, or None.

    A single typing mistake counts before a right name in the wrong section, that before another
    tool's name, and all of these before a name that is only similar.
    """
    wanted, name = ".".join(path), path[-1]
    slips = [key for key in KEYS if is_one_edit(wanted, key)]
    moved = [key for key in KEYS if key.rsplit(".", 1)[-1] == name]
    if not moved and len(name) >= _WORD:
        moved = [key for key in KEYS if is_one_edit(name, key.rsplit(".", 1)[-1])]
    for found in (slips, moved):
        if found:
            return _closest(wanted, found)
    return _ELSEWHERE.get(name) or _similar(wanted, KEYS)


def nearest_section(path: tuple[str, ...]) -> str | None:
    """Return the section that was most likely meant, or None."""
    return _similar(".".join(path), SECTIONS)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that was most likely meant, or None."""
    return _similar(word, words)


def is_one_edit(one: str, other: str) -> bool:
    """Tell whether a letter more, less, other, or two swapped make one of the other."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    shorter = min(len(one), len(other))
    start = next((n for n in range(shorter) if one[n] != other[n]), shorter)
    left, right = one[start:], other[start:]
    if len(left) == len(right):
        swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
        return left[1:] == right[1:] or swapped
    return left[1:] == right or left == right[1:]


def _similar(word: str, words: Iterable[str]) -> str | None:
    most = min(_FAR, max(1, len(word.rsplit(".", 1)[-1]) // 3))
    close = [one for one in words if abs(len(one) - len(word)) <= most]
    close = [one for one in close if edits(word, one) <= most]
    return _closest(word, close) if close else None


def _closest(word: str, words: Iterable[str]) -> str:
    # Of equals the one with the same beginning, which people rarely mistype; then by name.
    return min(words, key=lambda one: (edits(word, one), -_same_start(word, one), one))


def _same_start(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def edits(one: str, other: str) -> int:
    """Return how many letters have to be added, taken away, changed or swapped with the next.

    Source: Damerau, "A technique for computer detection and correction of spelling errors", 1964;
    the restricted distance, in which no pair is edited twice.
    """
    before, above = list[int](), list(range(len(other) + 1))
    for row, a in enumerate(one, 1):
        line = [row]
        for column, b in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (a != b))
            if row > 1 and column > 1 and (a, b) == (other[column - 2], one[row - 2]):
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]
