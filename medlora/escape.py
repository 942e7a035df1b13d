"""Text of others as it may be shown: a name moves no cursor, forges no line, hides nothing."""

import re

# What a terminal obeys or an eye does not see: control characters, ends of lines and paragraphs,
# halves of characters (bytes of a file's name that are no UTF-8 among them), embeddings, overrides
# and isolates of writing direction, tags.  Marks that scripts and emoji need to be read are none.
# Source: Unicode 16, chapter 23; Boucher and Anderson, "Trojan Source", 2021.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LAST_BYTE = 0xFF
_LAST_OF_PLANE = 0xFFFF
_UNDECODED = range(0xDC80, 0xDD00)  # a byte of a name that is no UTF-8.  Source: PEP 383


def escaped(text: str, *, keep: str = "") -> str:
    r"""Return a text on one line, characters that could hide or forge something as `\x1b`.

    Args:
        text: whatever somebody wrote.
        keep: such characters that may stay, e.g. the line breaks of a text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda match: match[0] if match[0] in keep else _code(match[0]), text)


def _code(char: str) -> str:
    code = ord(char)
    if code in _UNDECODED:
        return rf"\x{code & _LAST_BYTE:02x}"
    if code <= _LAST_BYTE:
        return _SHORT.get(char, rf"\x{code:02x}")
    return rf"\u{code:04x}" if code <= _LAST_OF_PLANE else rf"\U{code:08x}"
