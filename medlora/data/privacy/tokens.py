"""The words of a text with what the lists know of them: what names and places are found in."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from medlora.data.privacy.lists import Lists, fold, lists

_WORD = re.compile(r"[^\W\d_]+(?:['’\-‐][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['’]s?\Z", re.IGNORECASE)
_SENTENCE = re.compile(r"[.?!:;\n•\"“]\s*\Z")
_LONGEST_GAP = 4
# Drugs, findings and germs that no list has: never taken for a name that no list has.
_MEDICAL = re.compile(
    r"(?:itis|osis|a?emia|ectomy|otomy|ostomy|plasty|oscopy|opathy|logy|logist|grams?|graphy|"
    r"statin|sartan|pril|olol|azole|cillin|mycin|oxacin|vir|m[ai]b|nib|caine|epam|olam|pine|done|"
    r"phine|formin|gliptin|flozin|tide|parin|xaban|gatran|triptan|setron|idine|azide|semide|terol|"
    r"sone|lone|tropin|cycline|etine|amine|azine|idol|apine|ine|ide|ium|toma|coccus|virus|bacter|"
    r"cept|kinra|stim|lukast|dronate|profen|coxib|barbital|toin|pam|fen|xone|zide|axel|platin|"
    r"rubicin|phen|tinib|penem|bactam|thyroxine|insulin|uria|algia|pathic|genic|emic|otic|itic|"
    r"ological|oma|ase|gen|phage|cyte|mycosis|plegia|paresis|trophy|philia|penia|rrhea|rrhage)s?\Z"
)
PARTICLES = frozenset(
    "de la del della di da dos das do van von der den ter ten bin ibn al el le du st "
    "san y e af av zu".split()
)


class Token(NamedTuple):
    """One word: where it stands, how it is written, what the lists say.

    `kind`: G a given name, g one that is a word too, S and s the same of surnames, U unknown,
    W a word, M what ends like a drug or a finding, I an initial, l not capitalised.
    """

    start: int
    end: int
    key: str  # folded, without a possessive
    kind: str
    upper: bool  # all capitals, two or more
    fresh: bool  # begins a sentence, where a capital says nothing


@dataclass(frozen=True, slots=True)
class Tokens:
    """All words of a text."""

    text: str
    items: list[Token]

    def gap(self, index: int) -> str:
        """Return what stands between a word and the next one; at most a few characters of it."""
        start = self.items[index].end
        if index + 1 >= len(self.items):
            return self.text[start : start + _LONGEST_GAP] + "\n"
        return self.text[start : min(self.items[index + 1].start, start + 2 * _LONGEST_GAP)]

    def key(self, index: int) -> str:
        """Return a word's key, none outside of the text."""
        return self.items[index].key if 0 <= index < len(self.items) else ""


def tokens_of(text: str) -> Tokens:
    """Return the words of a text."""
    known = lists()
    items = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        word = match.group()
        if not word[0].isupper():
            items.append(Token(start, end, word, "l", upper=False, fresh=False))
            continue
        base = _POSSESSIVE.sub("", word) if word[-2:-1] in "'’" or word[-1] in "'’" else word
        end = start + len(base)
        key = fold(base)
        upper = len(base) > 1 and base.isupper()
        fresh = start == 0 or bool(_SENTENCE.search(text, max(0, start - 3), start))
        items.append(Token(start, end, key, _kind(base, key, known), upper=upper, fresh=fresh))
    return Tokens(text, items)


def _kind(word: str, key: str, known: Lists) -> str:
    if len(word) == 1:
        return "I"
    plain = key.replace("'", "").replace("’", "")
    if "-" in plain:
        parts = [_kind(part, part, known) for part in plain.split("-") if part]
        return next((kind for kind in "WGgSsM" if kind in parts), "U")
    ordinary = plain in known.words
    if plain in known.given:
        return "g" if ordinary else "G"
    if plain in known.surnames:
        return "s" if ordinary else "S"
    if ordinary or _MEDICAL.search(plain):
        return "W" if ordinary else "M"
    return "U" if word.isascii() or plain in known.eponyms else "S"  # Božić is no English word
