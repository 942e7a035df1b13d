"""Names of persons: titles, kin, patients, pairs of listed names, and later mentions of the same.

The lists alone name many words.  A capital inside a sentence, an initial, a title or a relation
decides; eponyms (Crohn's disease) and acronyms (ADA) are nobody's.
"""

import re
from collections.abc import Iterator

from medlora.data.privacy.context import (
    BY,
    DEGREES,
    EPONYM_NOUNS,
    KIN,
    NAMING,
    NOT_NAMES,
    PEOPLE,
    REPORTS,
    SURE_TITLES,
    TITLES,
)
from medlora.data.privacy.lists import lists
from medlora.data.privacy.spans import Span
from medlora.data.privacy.tokens import PARTICLES, Tokens

_MOST = 5  # words of one name
_DEGREE = re.compile(DEGREES)
_AFTER_CONTEXT = re.compile(r"[\s,:;(\-–#\"“']{1,4}\Z")
_AGED = re.compile(r"\s(?:is|was)\san?\s(?:\d|very|pleasant|\w+-year)")
_AGE_BEFORE = re.compile(r"(?:\d{1,3}\s?-?(?:year|yr|y)\S{0,8}|y/?o|yo)[\s,]*\Z", re.IGNORECASE)
_CONTEXT_REACH = 3  # words back to what announces a name
_MONTHS = frozenset({"may", "april", "june", "august", "will"})
_SHORTEST_ECHO = 3  # letters of a name that counts wherever it is said again


def find_names(tokens: Tokens) -> Iterator[Span]:
    """Yield the names of persons in a text."""
    names: list[tuple[int, int]] = []
    index = 0
    while index < len(tokens.items):
        end = _name_at(tokens, index)
        if end > index:
            names.append((index, end))
        index = max(end, index + 1)
    yield from (_span(tokens, first, end) for first, end in names)
    yield from _echoes(tokens, names)


def _span(tokens: Tokens, first: int, end: int) -> Span:
    last = tokens.items[end - 1].end
    if tokens.items[end - 1].kind == "I" and tokens.text[last : last + 1] == ".":
        last += 1
    return Span(tokens.items[first].start, last, "NAME")


def _name_at(tokens: Tokens, index: int) -> int:
    """Return the index after a name that begins at a word; the index itself where none does."""
    token = tokens.items[index]
    if token.kind == "l":
        return _lower_case(tokens, index)
    if token.key in TITLES and _follows(tokens, index):
        end = _titled(tokens, index)
        if end > index:
            return end
    if token.key in NOT_NAMES or _is_eponym(tokens, index):
        return index
    return (
        _last_first(tokens, index) or _announced(tokens, index) or _listed(tokens, index) or index
    )


def _follows(tokens: Tokens, index: int) -> bool:
    """Tell whether the next word belongs to the same name as far as spacing shows."""
    gap = tokens.gap(index)
    if gap in (" ", "\u00a0", "-", "  "):
        return True
    token = tokens.items[index]
    return gap in (". ", ".", ".  ") and (token.kind == "I" or token.key in TITLES)


def _extended(tokens: Tokens, index: int) -> int:
    """Return the index after the words that a name can go on with."""
    items, end = tokens.items, index + 1
    while end < len(items) and end - index < _MOST and _follows(tokens, end - 1):
        token = items[end]
        if token.key in PARTICLES:
            after = _past_particles(tokens, end)
            if not after:
                break
            end = after
            continue
        surname = token.kind == "M" and items[end - 1].kind == "G"  # Osterhagen is no antigen
        if (
            not (token.kind in "GgSsUI" or surname)
            or token.key in NOT_NAMES
            or _is_eponym(tokens, end)
        ):
            break
        if token.upper and not items[index].upper and token.kind == "U":
            break  # an abbreviation: John Smith MRN
        if token.kind == "I" and items[end - 1].kind == "I" and tokens.gap(end - 1) == " ":
            break
        end += 1
    return end


def _past_particles(tokens: Tokens, index: int) -> int:
    """Return the index after `van der Berg`, 0 where no name follows the small words."""
    items, at = tokens.items, index
    while at < min(index + 3, len(items) - 1) and items[at].key in PARTICLES:
        if not _follows(tokens, at):
            return 0
        at += 1
    return at + 1 if at > index and items[at].kind in "GgSsU" else 0


def _titled(tokens: Tokens, index: int) -> int:
    """Return the end of a name behind a title, the title included."""
    items, first = tokens.items, index + 1
    while first < min(index + 3, len(items) - 1) and items[first].key in TITLES:
        if not _follows(tokens, first):
            break
        first += 1
    if first >= len(items) or items[first].kind == "l":
        return index
    token = items[first]
    if items[index].key in SURE_TITLES:
        return _extended(tokens, first)
    if token.kind in "GgSU" and token.key not in NOT_NAMES:
        return _extended(tokens, first)
    return index


def _is_eponym(tokens: Tokens, index: int) -> bool:
    """Tell whether a word names a disease, a test or a trial: Graves' disease, the Bell palsy."""
    items, known = tokens.items, lists().eponyms
    for at in range(index, min(index + 4, len(items) - 1)):
        gap = tokens.gap(at)
        if gap.strip(" -–'’s"):
            return False
        if items[at + 1].key.lower() in EPONYM_NOUNS:
            owned = "'" in gap or "’" in gap  # Mary's disease is Mary's, Crohn's is not
            return items[at].key in known or not (owned and items[at].kind in "Gg")
        if items[at + 1].kind in "lWM":
            return False
    return False


def _announced(tokens: Tokens, index: int) -> int:
    """Return the end of a name that a word before it announces: wife, patient, named, seen by."""
    token = tokens.items[index]
    if token.kind not in "GgSsU" or (token.upper and token.kind == "U"):
        return 0
    end = _extended(tokens, index)
    if _DEGREE.match(tokens.text, tokens.items[end - 1].end) and end - index > 1:
        return end
    if token.kind in "GS" and _reporting(tokens, end):
        return end
    if not _context_before(tokens, index):
        return 0
    return end


def _reporting(tokens: Tokens, end: int) -> bool:
    """Tell whether what follows a name says what a person does."""
    if _AGED.match(tokens.text, tokens.items[end - 1].end):
        return True
    token = tokens.items[end] if end < len(tokens.items) else None
    return token is not None and token.key in REPORTS and tokens.gap(end - 1) == " "


def _context_before(tokens: Tokens, index: int) -> bool:
    """Tell whether one of the words before announces a name."""
    items, sure = tokens.items, tokens.items[index].kind in "GS"
    for back in range(1, _CONTEXT_REACH + 1):
        at = index - back
        if at < 0 or not _close(tokens, at):
            return False
        key = items[at].key.lower()
        if key in NAMING or key in KIN:
            return True
        if key in PEOPLE:
            return sure or back == 1
        if key == "by" and at and items[at - 1].key.lower() in BY:
            return True
        if key not in ("is", "was", "name", "called", "by", "a", "the", "am", "this"):
            return False
    return False


def _close(tokens: Tokens, at: int) -> bool:
    return bool(_AFTER_CONTEXT.match(tokens.gap(at))) and "\n" not in tokens.gap(at)


def _listed(tokens: Tokens, index: int) -> int:
    """Return the end of a name that the lists, capitals and initials make one."""
    token, end = tokens.items[index], _extended(tokens, index)
    kinds = "".join(item.kind for item in tokens.items[index:end])
    if token.upper:
        return end if _in_capitals(tokens, index, end, kinds) else 0
    if kinds[0] == "G":
        return end if len(kinds) > 1 or not _is_place(token.key) else 0
    if len(kinds) < 2:  # noqa: PLR2004
        return 0
    if kinds[0] == "g":
        fits = kinds[1] in "IGS" or (
            token.key not in _MONTHS and (not token.fresh and kinds[1] in "sgU")
        )
        return end if fits else 0
    return _unlisted(tokens, index, end, kinds)


def _is_place(key: str) -> bool:
    return key in lists().regions or key in lists().cities


def _in_capitals(tokens: Tokens, index: int, end: int, kinds: str) -> bool:
    """Tell whether words in capitals are a name: JOHN SMITH, not ADA or CT ABDOMEN."""
    shouted = all(item.upper or item.kind == "I" for item in tokens.items[index:end])
    return shouted and kinds[0] == "G" and len(kinds) > 1 and any(k in "GSsI" for k in kinds[1:])


def _unlisted(tokens: Tokens, index: int, end: int, kinds: str) -> int:
    """Return the end of a name whose first word is no listed given name."""
    items, eponyms = tokens.items, lists().eponyms
    token = items[index]
    if kinds[0] == "I":
        dotted = tokens.gap(index).startswith(".")
        return end if dotted and any(kind in "GS" for kind in kinds[1:]) else 0
    if kinds[1] == "I":  # Oluwaseun R.
        stop = items[index + 1].end
        dotted = (
            tokens.text[stop : stop + 1] == "." and not tokens.text[stop + 1 : stop + 2].isalpha()
        )
        aged = _AGE_BEFORE.search(tokens.text, max(0, token.start - 24), token.start)
        return index + 2 if token.kind in "SU" and (dotted or aged) and not token.fresh else 0
    if token.fresh and not any(kind in "GS" for kind in kinds[1:]):
        return 0
    strong = [item for item in items[index:end] if item.kind in "GS" and item.key not in eponyms]
    places = lists().cities
    if kinds[0] in "SU" and strong and token.key not in places:
        return end
    return 0


def _last_first(tokens: Tokens, index: int) -> int:
    """Return the end of `Last, First` with what follows it."""
    items = tokens.items
    if index + 1 >= len(items) or tokens.gap(index) not in (", ", ","):
        return 0
    last, first = items[index], items[index + 1]
    known = lists()
    if first.kind in "lIW" or first.key in known.regions or first.upper != last.upper:
        return 0
    if first.key in known.cities and last.key in known.cities:
        return 0
    end = _extended(tokens, index + 1)
    listed = last.kind in "Ss" or last.key in known.surnames
    alone = last.fresh and tokens.gap(end - 1)[:1] in ("\n", "", ";", "(")
    sure = (listed and first.kind == "G") or (
        (alone or last.upper) and "G" in first.kind + last.kind
    )
    weak = last.kind == "S" and (first.kind == "g" or alone)
    return end if sure or weak or (alone and listed and first.kind == "g") else 0


def _lower_case(tokens: Tokens, index: int) -> int:
    """Return the end of a name that is not capitalised: john smith, dr jones, wife maria."""
    items, known = tokens.items, lists()
    key = items[index].key
    if index + 1 < len(items) and key in SURE_TITLES and _follows(tokens, index):
        following = items[index + 1]
        if following.kind != "l":
            return _extended(tokens, index + 1)
        after = following.key
        listed = after in known.surnames or after in known.given
        return index + 2 if listed and after not in known.words else index
    if key not in known.given or key in known.words or key in NOT_NAMES or key in PARTICLES:
        return index
    if len(key) <= _SHORTEST_ECHO and not _context_before(tokens, index):
        return index
    following_key = tokens.key(index + 1) if _follows(tokens, index) else ""
    announced = _context_before(tokens, index)
    if following_key in known.surnames and (announced or following_key not in known.words):
        return index + 2
    initial = len(following_key) == 1 and tokens.gap(index + 1).startswith(".")
    if announced:
        return index + 2 if initial else index + 1
    return index


def _echoes(tokens: Tokens, names: list[tuple[int, int]]) -> Iterator[Span]:
    """Yield later and earlier mentions of a part of a name that was found."""
    covered = {index for first, end in names for index in range(first, end)}
    keys = {
        tokens.items[index].key
        for index in covered
        if tokens.items[index].kind in "GSU"
        and not tokens.items[index].upper
        and tokens.items[index].key not in TITLES
        and len(tokens.items[index].key) >= _SHORTEST_ECHO
    }
    if not keys:
        return
    for index, token in enumerate(tokens.items):
        said_again = index not in covered and token.kind in "GSU" and token.key in keys
        if said_again and token.key not in NOT_NAMES and not _is_eponym(tokens, index):
            yield Span(token.start, token.end, "NAME")
