"""Text without what makes no difference: case, width, spacing, punctuation; and short digests."""

import hashlib
from unicodedata import category, normalize

_NO_DIFFERENCE = "PZC"  # punctuation, separators, control; symbols (<, +, °) make a difference
_ASCII = {code: " " for code in range(128) if category(chr(code))[0] in _NO_DIFFERENCE}
_DISTINCTIVE = 24  # characters; a shorter answer is a label (yes, B, not enough information)


def folded(text: str) -> str:
    """Return the words of a text, in one case, one space between; empty only if it is blank."""
    text = text.casefold()
    if text.isascii():
        words = text.translate(_ASCII)
    else:
        words = text = normalize("NFKC", text).casefold()
        for character in set(text):  # few: each is replaced in a fraction of what translating takes
            if category(character)[0] in _NO_DIFFERENCE:
                words = words.replace(character, " ")
    return " ".join(words.split()) or " ".join(text.split())


def digest64(text: str) -> int:
    """Return 64 bits of a text's SHA-256, enough to tell texts apart; never 0."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") or 1


def answer_digest(answer: str) -> int:
    """Return the digest of a folded answer, 0 if it is too short to betray where it comes from."""
    return digest64(answer) if len(answer) >= _DISTINCTIVE else 0
