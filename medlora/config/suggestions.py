"""Which key, section or word was meant by a name that is none: "did you mean ...?"."""

from collections.abc import Iterable

from medlora.config.schema import KEYS, SECTIONS, about, all_keys

# What other tools call a key, and people who come from there; a plain name, without its section.
_ELSEWHERE = {name: key for key in all_keys() for name in about(key).also}
_WORD = 3  # letters that name something, wherever they stand
_FAR = 3  # edits that no typing mistake has; fewer where a name is short


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
    for candidates in (slips, moved):
        if candidates:
            return _closest(wanted, candidates)
    return _ELSEWHERE.get(name) or nearest(wanted, KEYS)


def nearest_section(path: tuple[str, ...]) -> str | None:
    """Return the section that was most likely meant, or None."""
    return nearest(".".join(path), SECTIONS)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that was most likely meant, or None."""
    most = min(_FAR, max(1, len(word.rsplit(".", 1)[-1]) // 3))
    close = [known for known in words if abs(len(known) - len(word)) <= most]
    close = [known for known in close if edit_distance(word, known) <= most]
    return _closest(word, close) if close else None


def is_one_edit(word: str, other: str) -> bool:
    """Tell whether a letter more, less, other, or two swapped make one of the other."""
    if abs(len(word) - len(other)) > 1 or word == other:
        return False
    start = _same_start(word, other)
    left, right = word[start:], other[start:]
    if len(left) == len(right):
        swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
        return left[1:] == right[1:] or swapped
    return left[1:] == right or left == right[1:]


def _closest(word: str, words: Iterable[str]) -> str:
    # Of equals the one with the same beginning, which people rarely mistype; then by name.
    return min(
        words, key=lambda known: (edit_distance(word, known), -_same_start(word, known), known)
    )


def _same_start(word: str, other: str) -> int:
    """Return how many letters two words have in common from the first on."""
    pairs = zip(word, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(word), len(other)))


def edit_distance(word: str, other: str) -> int:
    """Return how many letters have to be added, taken away, changed or swapped with the next.

    Source: Damerau, "A technique for computer detection and correction of spelling errors", 1964;
    the restricted distance, in which no pair is edited twice.
    """
    before, above = list[int](), list(range(len(other) + 1))
    for row, a in enumerate(word, 1):
        line = [row]
        for column, b in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (a != b))
            if row > 1 and column > 1 and (a, b) == (other[column - 2], word[row - 2]):
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]
