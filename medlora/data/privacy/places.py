"""Places smaller than a state: hospitals and offices, cities, counties."""

import re
from collections.abc import Iterator

from medlora.data.privacy.context import EPONYM_NOUNS, GUIDANCE
from medlora.data.privacy.lists import lists
from medlora.data.privacy.spans import Span
from medlora.data.privacy.tokens import Tokens

# The last word of a facility's name; a small letter is fine where it is surely that.
_HEADS = frozenset(
    "hospital hospitals clinic clinics center centre centers infirmary hospice sanatorium "
    "sanitarium "
    "pharmacy dispensary healthcare health medical med medicine memorial presbyterian methodist "
    "university college institute school rehab rehabilitation church temple synagogue mosque "
    "polyclinic practice surgery hc vamc medcenter office offices associates partners "
    "academy elementary high library airport hotel shelter jail prison facility campus group "
    "ctr hosp gen nursing manor lodge village pavilion care residence home homes "
    "ranch foundation physicians".split()
)
_SURE_HEADS = frozenset(
    "hospital hospitals hosp ctr clinic clinics infirmary hospice pharmacy polyclinic vamc "
    "medcenter".split()
)
_SMALL_HEADS = _SURE_HEADS | frozenset(
    "office offices campus practice center facility area".split()
)
_INSIDE = frozenset("of and the for & de la del".split())
_OPENERS = frozenset(
    "the our this that at in from to a an my your his her their is are was were can how what which "
    "when where why does do did should could would any all some best current latest updated new "
    "recommended standard public teaching local outpatient inpatient general primary urgent acute "
    "children's veterans long-term mental behavioral family community regional specialist "
    "specialty treatment patient patients visit visited contact call see seen ask and or for with "
    "on of by emergency please go if nearest".split()
)
_GENERIC = frozenset(
    "the our this that a an my your his her their emergency public teaching local outpatient "
    "inpatient general primary urgent acute long-term mental behavioral family community "
    "specialist specialty treatment patient patients medical health care hospital clinic center "
    "university department dept national pain sleep heart cancer diabetes memory surgery surgical "
    "day eye dental stroke trauma burn birth birthing imaging dialysis wellness women's children's "
    "nursing skilled assisted home intensive critical assisted rehab rehabilitation physical "
    "occupational speech therapy research clinical internal preventive alternative complementary "
    "sports occupational palliative hospice veterans regional high low good poor better american "
    "disease world global federal u.s us uk international european british canadian retail "
    "travel walk-in free transplant infusion wound fertility travel student".split()
)
_SAINT = re.compile(r"(?:St\.?|Saint|Ste\.?|Santa|San|Mt\.?|Mount|Our\sLady|Fort|Ft\.?)\Z")
_RESIDENT = re.compile(
    r"\b(?:lives?|living|lived|resid(?:es?|ing|ed|ent)|from|near|moved\sto|relocated\sto|"
    r"travel\w*\s(?:to|from)|"
    r"home\sin|house\sin|born\sin|raised\sin|native\sof|based\sin|located\sin|outside|visiting|"
    r"suburb\sof|city\sof|town\sof|village\sof|clinic\sin|hospital\sin|office\sin|practice\sin|"
    r"works?\sin|working\sin|in|at|to|of|via)\s(?:the\s|downtown\s|north\s|south\s|east\s|west\s|our\s|greater\s)?\Z",
    re.IGNORECASE,
)
_HOME = re.compile(
    r"\b(?:lives?|living|lived|resid(?:es?|ing|ed|ent)|moved|relocated|born|raised|native|home|"
    r"commutes?|travell?ing|travell?ed|travel|flying|flew|drove|driving)\s(?:here\s)?(?:to\s|from\s|in\s|of\s|at\s|near\s|town\sof\s|city\sof\s|outside\s){1,2}\Z",
    re.IGNORECASE,
)
_CARE = re.compile(
    r"\b(?:seen|admitted|admission|treated|treatment|evaluated|hospitali[sz]ed|transferred|"
    r"referred|"
    r"presented|presenting|presents|visit|visited|visits|discharged|follow(?:ed|ing)?[\s-]?up|"
    r"followed|appointment|diagnosed|consult(?:ed|ation)?|underwent|surgery|operated|"
    r"performed|done|"
    r"stay(?:ed)?|staying|care|cared|patient|checkup|check-up|examined|appt|workup|receiving|"
    r"currently|last|delivered|records|notes|inpatient|outpatient|procedure|biopsy|transplant|"
    r"scan|labs|works|employed|employee|volunteers|taken|rushed|brought|observed|under|based|"
    r"worked|resident|monitored|enrolled)"
    r"(?:\s[a-z]{2,12}){0,2}\s(?:at|in|to|from)\s(?:the\s|our\s)?\Z|"
    r"\b(?:visited|attended|attending|attends|at|@)\s(?:the\s|our\s)?\Z",
    re.IGNORECASE,
)
_BEFORE_A_PLACE = frozenset(
    "at in to from of near outside the our visited attended attending attends".split()
)
_TOWN = re.compile(
    r"(?:ville|burgh?|berg|shire|mouth|stad|haven|port|town|borough|chester|wick|field|view|bury|"
    r"furt|hausen|heim|dorf|grad|minster|pool|bridge|kirchen|forth|by)\Z"
)
_AT = re.compile(r"\b(?:at|visited|@|to)\s(?:the\s)?\Z")
_NOT_PLACES = frozenset(
    "icu er ed or nicu picu ccu pacu micu sicu opd ct mri pet ecg ekg eeg english spanish medicare "
    "medicaid covid january february march april may june july august september october november "
    "december monday tuesday wednesday thursday friday saturday sunday usa us uk eu bed rest night "
    "home least risk baseline snf ltac hd dm htn copd chf mi dvt pe hiv ckd esrd type stage level "
    "fda nih cdc who aha acc ada".split()
)
_STATE_CODES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|"
    "NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR"
)
_STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|"
    "Georgia|Hawaii|"
    "Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|"
    "Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New\\s(?:Hampshire|Jersey|Mexico|York)|"
    "(?:North|South)\\s(?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode\\sIsland|"
    "Tennessee|"
    "Texas|Utah|Vermont|Virginia|Washington|West\\sVirginia|Wisconsin|Wyoming|Puerto\\sRico"
)
STATE = rf"(?:(?:{_STATE_CODES})(?![\w])|(?:{_STATE_NAMES})\b)"
_STATE_AFTER = re.compile(rf",?\s{{1,2}}(?:{STATE}|D\.C\.)(?:,?\s\d{{5}}(?:-\d{{4}})?(?!\d))?")
_COMMA_STATE = re.compile(rf",\s{{0,2}}(?:{STATE}|D\.C\.)(?:,?\s\d{{5}}(?:-\d{{4}})?(?!\d))?")
_CITY_LENGTH = 40  # characters
_SHORTEST = 3  # letters
_MOST = 7  # words of a place


def find_places(tokens: Tokens) -> Iterator[Span]:
    """Yield facilities, cities and counties."""
    index = 0
    while index < len(tokens.items):
        end = _place_at(tokens, index)
        if end:
            start = tokens.items[index].start
            stop, until = _with_region(tokens, end)
            yield Span(start, stop, "LOCATION")
            index = until
        else:
            index += 1


def _place_at(tokens: Tokens, index: int) -> int:
    """Return the index after a place that begins at a word, 0 where none does."""
    token = tokens.items[index]
    if token.kind == "l":
        return _lower_city(tokens, index)
    end = _run(tokens, index)
    return (
        max(_known(tokens, index), _facility(tokens, index, end))
        or _county(tokens, index, end)
        or _city_in_state(tokens, index)
        or _visited(tokens, index, end)
    )


def _run(tokens: Tokens, index: int) -> int:
    """Return the index after a series of capitalised words, small ones between them allowed."""
    items, end = tokens.items, index + 1
    while end < len(items) and end - index < _MOST:
        gap = tokens.gap(end - 1)
        abbreviated = gap in (". ", ".") and items[end - 1].key in ("st", "mt", "ft", "ste")
        if gap not in (" ", "-", " & ", "/", "\u00a0", "–", "'s ", "’s ") and not abbreviated:
            break
        if items[end].kind == "l":
            inside = items[end].key in _INSIDE and end + 1 < len(items)
            if not inside or items[end + 1].kind == "l" or tokens.gap(end) != " ":
                break
        end += 1
    return end


def _facility(tokens: Tokens, index: int, end: int) -> int:
    """Return the end of a name that ends in a word such as Hospital."""
    items = tokens.items
    if (items[index].key in _OPENERS and items[index].fresh) or items[index].key in ("the", "our"):
        return 0
    start = items[index].start
    for last in range(end, index, -1):
        following = items[last] if last < len(items) and tokens.gap(last - 1) == " " else None
        small = following and following.kind == "l" and following.key in _SMALL_HEADS
        if small and last == end and _is_own(tokens, index, last) and _placed(tokens, index, last):
            return last + 1
        head = items[last - 1]
        if head.kind != "l" and head.key in _HEADS and last - index > 1:
            sure = any(item.key in _SURE_HEADS for item in items[index:last])
            sure = sure or bool(_CARE.search(tokens.text, max(0, start - 48), start))
            sure = sure or head.key in ("center", "centre", "memorial", "presbyterian", "methodist")
            own = _is_own(tokens, index, last) or (
                head.key in _SURE_HEADS and _AT.search(tokens.text, max(0, start - 16), start)
            )
            if sure and own and not _guides(tokens, last) and not _quoted(tokens, index):
                return last
    return 0


def _is_own(tokens: Tokens, index: int, end: int) -> bool:
    """Tell whether there is a word that makes one place of the kind of place."""
    return any(
        item.kind != "l"
        and item.key not in _GENERIC
        and item.key not in _HEADS
        and len(item.key) > 1
        for item in tokens.items[index:end]
    )


def _placed(tokens: Tokens, index: int, last: int) -> bool:
    """Tell whether a small head follows a name of a place and no adjective."""
    words = tokens.items[index:last]
    keys = [item.key for item in words]
    known = lists()
    if " ".join(keys) in known.cities or " ".join(keys) in known.facilities:
        return True
    if tokens.items[last].key in _SURE_HEADS:
        return any(item.kind in "GSU" or item.key in known.cities for item in words) and not (
            words[0].fresh and len(words) == 1
        )
    return False


def _guides(tokens: Tokens, end: int) -> bool:
    """Tell whether a place is only named as the author of a guideline or a test."""
    following = tokens.items[end : end + 1]
    return bool(following) and following[0].key.lower() in GUIDANCE and tokens.gap(end - 1) == " "


def _known(tokens: Tokens, index: int) -> int:
    """Return the end of a listed facility or city that context makes a place."""
    items, known = tokens.items, lists()
    first = items[index].key
    saint = first in ("st", "mt", "saint", "mount", "san", "santa", "fort", "ft", "our")
    longest = known.first_words.get(first, 0)
    longest = max(longest, known.first_words.get(first + ".", 0))
    if saint and index + 1 < len(items):
        end = _saint(tokens, index)
        if end:
            return end
    for length in range(min(longest, _MOST, len(items) - index), 0, -1):
        end = index + length
        name = " ".join(item.key for item in items[index:end])
        dotted = name.replace("mt ", "mt. ", 1).replace("st ", "st. ", 1)
        if not _one_phrase(tokens, index, end):
            continue
        if name in known.facilities or dotted in known.facilities:
            return 0 if _guides(tokens, end) or _quoted(tokens, index) else _head_after(tokens, end)
        if (name in known.cities or dotted in known.cities) and _is_city(tokens, index, end):
            return _head_after(tokens, end)
    return 0


def _saint(tokens: Tokens, index: int) -> int:
    """Return the end of St. Luke's, Mount Carmel: a saint with a possessive, or at a place."""
    items = tokens.items
    following = items[index + 1]
    if following.kind == "l" or tokens.gap(index) not in (" ", ". ", "."):
        return 0
    possessive = tokens.text[following.end : following.end + 1] in ("'", "’")
    before = tokens.text[max(0, items[index].start - 48) : items[index].start]
    if possessive or _CARE.search(before):
        return _head_after(tokens, index + 2)
    return 0


def _one_phrase(tokens: Tokens, index: int, end: int) -> bool:
    return all(
        (tokens.gap(at) in (" ", "-", ". ", "'s ", "’s ") and tokens.items[at + 1].kind != "l")
        or tokens.gap(at) == " "
        for at in range(index, end - 1)
    )


def _head_after(tokens: Tokens, end: int) -> int:
    """Take in what kind of place it is: Stanford University Medical Center, Chicago office."""
    items = tokens.items
    at = end
    while at < len(items) and at - end < 4:  # noqa: PLR2004  (words)
        gap = tokens.gap(at - 1)
        if gap not in (" ", "'s ", "’s ", "-", "' "):
            break
        key = items[at].key
        if items[at].kind == "l" and key not in _SMALL_HEADS:
            break
        if items[at].kind != "l" and key not in _HEADS and key not in _GENERIC:
            break
        at += 1
    while at > end and items[at - 1].key not in _HEADS | _SMALL_HEADS:
        at -= 1
    return at


def _quoted(tokens: Tokens, index: int) -> bool:
    """Tell whether a facility is only the source of advice: recommendations from Mayo Clinic."""
    start = tokens.items[index].start
    words = tokens.text[max(0, start - 48) : start].lower().split()
    return bool(GUIDANCE.intersection(words[-4:])) and words[-1:] in (["from"], ["by"], ["the"])


def _is_city(tokens: Tokens, index: int, end: int) -> bool:
    """Tell whether the words before and after a listed city make it one."""
    items, known = tokens.items, lists()
    start, stop = items[index].start, items[end - 1].end
    following = items[end].key.lower() if end < len(items) and tokens.gap(end - 1) == " " else ""
    if following in GUIDANCE or following in EPONYM_NOUNS or items[index].key in _NOT_PLACES:
        return False
    if tokens.gap(end - 1)[:1] in ("'", "’") and tokens.key(end).lower() in EPONYM_NOUNS:
        return False
    if _COMMA_STATE.match(tokens.text, stop):
        return True
    before = tokens.text[max(0, start - 24) : start]
    if items[index].upper and end - index == 1:
        return bool(_HOME.search(before))
    ordinary = all(item.kind in "gsWM" for item in items[index:end])
    if _RESIDENT.search(before):
        return not ordinary or bool(_HOME.search(before)) or end - index > 1
    if following in _SMALL_HEADS or following in (
        "area",
        "resident",
        "native",
        "suburb",
        "location",
    ):
        return not ordinary
    if end - index > 1:
        return not ordinary
    person = items[index].kind in "GSgs"
    return not person and not ordinary and items[index].key not in known.regions


def _city_in_state(tokens: Tokens, index: int) -> int:
    """Return the end of an unlisted city that a state follows: Foo Falls, MN."""
    items = tokens.items
    if "," not in tokens.text[items[index].start : items[index].start + _CITY_LENGTH]:
        return 0
    for end in range(min(index + 3, len(items)), index, -1):
        if not all(item.kind in "GgSsUWM" for item in items[index:end]):
            continue
        if end - index > 1 and not _one_phrase(tokens, index, end):
            continue
        match = _COMMA_STATE.match(tokens.text, items[end - 1].end)
        if (
            match
            and (items[index].kind != "W" or not items[index].fresh)
            and not items[index].upper
        ):
            return end
    return 0


def _county(tokens: Tokens, index: int, end: int) -> int:
    """Return the end of Cook County, Orleans Parish, County of Kent."""
    items = tokens.items
    for last in range(index + 1, end):
        if items[last].key in ("county", "parish", "borough", "township", "district", "village"):
            own = items[last - 1].kind in "GSUgs" and items[last - 1].key not in _GENERIC
            return last + 1 if own and items[last].key != "district" else 0
    return 0


def _visited(tokens: Tokens, index: int, end: int) -> int:
    """Return the end of a place that its verb alone makes one: admitted to Lakeview."""
    token = tokens.items[index]
    if token.key in _NOT_PLACES or token.kind == "I" or len(token.key) < _SHORTEST:
        return 0
    if tokens.key(index - 1).lower() not in _BEFORE_A_PLACE:
        return 0
    if token.key in lists().regions and end - index == 1:
        return 0
    while end > index + 1 and tokens.items[end - 1].kind in "lI":
        end -= 1
    following = tokens.items[index : end + 1]
    if any(item.key.lower() in EPONYM_NOUNS for item in following) or _guides(tokens, end):
        return 0
    before = tokens.text[max(0, token.start - 64) : token.start]
    return end if _is_visited(tokens, index, end, before) else 0


def _is_visited(tokens: Tokens, index: int, end: int, before: str) -> bool:
    token, home = tokens.items[index], _HOME.search(before)
    if token.kind in "WM":
        return end - index > 1 and bool(home or _AT.search(before))
    if token.kind in "US" and _TOWN.search(token.key) and _RESIDENT.search(before):
        return True
    person = before.endswith("from ") and (token.kind in "Gg" or token.upper)
    return bool(home) or (not person and bool(_CARE.search(before)))


def _lower_city(tokens: Tokens, index: int) -> int:
    """Return the end of a city in small letters: lives in chicago."""
    items, known = tokens.items, lists()
    start = items[index].start
    if start < 4 or tokens.text[start - 1] != " ":  # noqa: PLR2004
        return 0
    for length in range(min(known.first_words.get(items[index].key, 0), _MOST), 0, -1):
        end = index + length
        if end > len(items):
            continue
        name = " ".join(item.key for item in items[index:end])
        if name in known.cities and name not in known.words:
            before = tokens.text[max(0, start - 32) : start]
            return end if _HOME.search(before) else 0
    return 0


def _with_region(tokens: Tokens, end: int) -> tuple[int, int]:
    """Take in a city and a state behind a place; return (where it ends, index after it)."""
    items = tokens.items
    stop = items[end - 1].end
    if tokens.text[stop : stop + 2] in ("'s", "’s"):
        stop += 2
    city = end
    if city < len(items) and items[city].key == "in" and tokens.gap(city - 1) == " ":
        city += 1
    if city > end or (city < len(items) and tokens.gap(end - 1) in (", ", " - ")):
        after = _listed_city(tokens, city)
        if after:
            end, stop = after, items[after - 1].end
    state = _STATE_AFTER.match(tokens.text, stop)
    if not state:
        return stop, end
    while end < len(items) and items[end].start < state.end():
        end += 1
    return state.end(), end


def _listed_city(tokens: Tokens, index: int) -> int:
    """Return the end of a listed city that begins at a word, 0 where none does."""
    items = tokens.items
    if index >= len(items) or items[index].kind == "l":
        return 0
    longest = lists().first_words.get(items[index].key, 0)
    for length in range(min(longest, _MOST, len(items) - index), 0, -1):
        name = " ".join(item.key for item in items[index : index + length])
        person = length == 1 and items[index].kind in "Gg" and tokens.gap(index).startswith(" ")
        if name in lists().cities and _one_phrase(tokens, index, index + length) and not person:
            return index + length
    return 0
