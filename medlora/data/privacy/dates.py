"""Dates with a day, months of an event, ages over 89; a year alone identifies nobody.

Every pattern is bounded and starts at a digit or at the name of a month, so the time grows with
the length of the text and no faster.
"""

import re
from collections.abc import Iterator

from medlora.data.privacy.spans import Span

_MONTH_WORDS = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sept sep oct nov dec "
    "januar februar märz mai juni juli oktober dezember "
    "janvier février mars avril juin juillet août septembre octobre novembre décembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
    "gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre "
    "janeiro fevereiro março maio junho julho setembro outubro dezembro"
)
_MONTHS = frozenset(_MONTH_WORDS.split())
_WORD = re.compile(r"[^\W\d_]{3,10}(?![^\W\d_])")
_ALSO_WORDS = frozenset({"may", "mar", "march", "mai", "mars", "sep", "OCT", "MAR", "SEP", "DEC"})

_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_UNDER_100 = rf"(?:(?:{_TENS})(?:[-\s](?:{_UNITS}))?|{_TEENS}|(?:oh[-\s]|o[-\s])?(?:{_UNITS}))"
_ORDINAL = (
    r"(?:(?:twenty|thirty)[-\s](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
    r"|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    r"|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth"
    r"|thirtieth)"
)
_DAY_WORD = rf"(?:{_ORDINAL}|(?:twenty|thirty)[-\s](?:{_UNITS})|{_TEENS}|{_UNITS}|twenty|thirty)"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1[6-9]|20)\d\d"
_YEAR_WORD = rf"(?:two\sthousand(?:\s(?:and\s)?{_UNDER_100})?|(?:nineteen|twenty)[\s-]{_UNDER_100})"
_TH = r"(?:\s?(?:st|nd|rd|th)\b)"
_TIME = (
    r"(?:(?:T|,?\s(?:at\s)?)\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?"
    r"(?:\s?[ap]\.?m\b\.?|Z|\s?[+-]\d\d:?\d\d)?)"
)
_RANGE = rf"(?:\s?(?:-|–|to|through|thru|and|&)\s?{_DAY}{_TH}?(?![\d/:.]))"

# What follows the name of a month: a day, perhaps a second one, perhaps a year.
_DAY_AFTER = re.compile(
    rf"\.?,?[\s\-/]{{1,2}}(?:the\s)?(?:{_DAY}(?![\d:]|\.\d)(?P<th>{_TH})?{_RANGE}?"
    rf"|(?P<word>{_DAY_WORD})\b)"
    rf"(?:(?:\s?[,.]?\s?(?:of\s|in\s|in\sthe\syear\s)?|[\-/])"
    rf"(?P<year>{_YEAR}(?!\d)|['’]\d\d(?!\d)|{_YEAR_WORD}\b)"
    rf"|[\-/](?P<short>\d\d)(?!\d))?{_TIME}?",
    re.IGNORECASE,
)
_YEAR_AFTER = re.compile(
    rf"\.?,?[\s\-/]{{0,2}}(?:of\s|de\s|del\s|in\s)?(?P<year>{_YEAR}(?!\d)|['’]\d\d(?!\d)"
    rf"|{_YEAR_WORD}\b)",
    re.IGNORECASE,
)
_SHORT_YEAR_AFTER = re.compile(r"[\s\-/.]{1,2}\d\d(?![\d.:/%]|\s?(?:mg|ml|years?|%))")
# What stands before it: the 5th of, 12-, tenth of, el 3 de.
_DAY_BEFORE = re.compile(
    rf"(?<![\d.,/$:+])(?:(?:(?:{_DAY}{_TH}?\s?(?:-|–|to|and|&)\s?)?{_DAY}{_TH}?\.?)"
    rf"|(?<![^\W\d_])(?P<word>{_ORDINAL}))"
    r"(?:\sday)?(?:\s(?:of|de|di))?[\s\-/.,]{0,2}\Z",
    re.IGNORECASE,
)
_LAST = re.compile(r"\b(?:last|this|next|past)\s\Z", re.IGNORECASE)
_REACH = 40  # characters before a month in which its day may stand

_NUMERIC = re.compile(
    rf"(?<!\d)(?<!\d[./\-])(?:"
    rf"{_YEAR}(?P<a>[\-/.])(?:0?[1-9]|1[0-2])(?P=a){_DAY}(?!\d){_TIME}?"
    rf"|{_YEAR}\s/\s(?:0?[1-9]|1[0-2])\s/\s{_DAY}(?!\d)"
    rf"|{_DAY}(?P<b>\s?[\-/–]\s?){_DAY}(?P=b)(?:{_YEAR}|['’]?\d\d)(?![\d%]|-\d){_TIME}?"
    rf"|{_DAY}\.\s?{_DAY}\.\s?(?:{_YEAR}|(?<=[0-3]\d\.[01]\d\.)\d\d)(?![\d%]){_TIME}?"
    rf"|{_DAY}\s(?:0[1-9]|1[0-2])\s{_YEAR}(?!\d)"
    rf"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:T?\d{{6}}Z?)?(?!\d)"
    rf")"
)
_SHORT = re.compile(
    r"(?:\b(?:on|since|until|till|dated?|dob|dos|doa|dod|lmp|edd|due|seen|visit(?:ed)?|admit(?:ted)?|"
    r"discharged?|appt|appointment|f/u|follow-?up|scheduled|starting|started|began|begun|surgery|"
    r"today|as\sof|before|after|through|thru|received|drawn|collected|signed)\b)"
    rf"[\s:(,]{{1,3}}(?:(?:for|is|was|on|the|of)\s){{0,2}}"
    rf"(?P<date>(?:0?[1-9]|1[0-2])[/\-]{_DAY}(?:\s?(?:-|–|to|and|&)\s?"
    rf"(?:0?[1-9]|1[0-2])/{_DAY})?)(?![\d/%.]\d?|-\d|\s?(?:strength|pain|systolic|diastolic|power|"
    r"murmur|mg|ml|tab|tablet|score|on\sthe|out|days?|weeks?|hours?|hrs?|months?|years?|doses?))",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d\s?[./\-–]\s?\d|\d{8}|\d\s\d\d\s\d")  # else no pattern below fits
_SHORT_FORM = re.compile(r"\d[/\-]\d")
_BARE_SHORT = re.compile(r"(?<![\d/.\-])0[1-9]/(?:[12]\d|3[01]|0[1-9])(?![\d/.\-%]|\s?mg)")
_MONTH_OF_YEAR = re.compile(rf"(?<![\d/])(?:0?[1-9]|1[0-2])/{_YEAR}(?![\d/])")
_HOLIDAY = re.compile(
    r"\b(?:Christmas(?:\s(?:Eve|Day))?|New\sYear['’]?s?\s(?:Eve|Day)|Thanksgiving(?:\sDay)?|"
    r"Halloween|Valentine['’]?s\sDay|Independence\sDay|Labor\sDay|Memorial\sDay|"
    rf"Veterans\sDay)(?:,?\s(?:of\s)?{_YEAR})\b"
)
# A month and a year date an event of a life; without one they date a guideline.
_EVENT = re.compile(
    r"\b(?:seen|admit\w*|admission|discharg\w*|treated|visit\w*|evaluated|hospitali[sz]\w*|"
    r"presented|presents|underwent|undergone|surger\w+|operat\w+|appointment|appt|follow-?up|"
    r"scheduled|born|birth|birthda\w+|dob|deliver\w+|died|death|deceased|expired|passed\saway|"
    r"biops\w+|transplant\w*|stroke|accident|fell|fall|clinic|hospital|office)\b",
    re.IGNORECASE,
)
_EVENT_REACH = 60

_OLD = r"(?:9\d|1[01]\d|12[0-2])"
_OLD_WORD = (
    rf"(?:ninety(?:[-\s](?:{_UNITS}))?|(?:a|one)[\s-]hundred(?:[\s-](?:and[\s-])?{_UNDER_100})?)"
)
_AGED = (
    r"(?:[\s\-–]{0,2}(?:years?|yrs?\.?|y\.?)[\s\-–]{0,2}(?:olds?\b|of[\s-]age\b|young\b)"
    r"|[\s\-]{0,2}y\.?[\s\-]?/?[\s\-]?o\.?(?![^\W\d_])|[\s\-]{0,2}yo[mf]?\b)"
)
_SUBJECT = r"(?:he|she|i|patient|pt|mother|father|grandmother|grandfather|wife|husband|who|age)"
_AGE = re.compile(
    rf"(?<![\d.$/\-])(?P<number>{_OLD}|\b{_OLD_WORD}){_AGED}"
    rf"|\b(?:aged?|age\sof|turned|turning)(?:\s(?:is|was))?[\s:=]{{0,2}}"
    rf"(?P<after>{_OLD}|{_OLD_WORD})(?![\d%/]|\.\d|\s?(?:days?|weeks?|months?|hours?|mg|kg|min))"
    rf"|\b{_SUBJECT}(?:['’]s|['’]m|\s(?:is|was|am|just\sturned))\s(?:now\s|currently\s)?"
    rf"(?P<said>{_OLD})(?=[,.;?!)\s]\s?(?:and\b|but\b|with\b|years?\b|now\b|\W|$|[A-Z]))"
    rf"|(?<![\d.$/])(?P<coded>{_OLD})[MF](?=[,\s]\s?(?:with|w/|who|presents?|c/o|s/p|pt|patient|\d|in)\b)",
    re.IGNORECASE,
)
_OLD_ENOUGH = re.compile(r"9\d|1[012]\d|[Nn]inety|[Hh]undred|NINETY|HUNDRED")
_GROUP_BEFORE = re.compile(
    r"(?:over|above|older\sthan|than|beyond|past|under|below|up\sto|until|to|least|[<>≥≤=])"
    r"\s?(?:the\s)?(?:ages?\s(?:of\s)?)?\Z",
    re.IGNORECASE,
)
_GROUP_AFTER = re.compile(r"\s?(?:\+|or\s(?:older|above|over|more)|and\s(?:older|above|over|up))")


def find_dates(text: str) -> Iterator[Span]:
    """Yield dates that have more than a year, written in digits or in words."""
    for word in _WORD.finditer(text):
        span = _around(word, text) if word.group().lower() in _MONTHS else None
        if span:
            yield Span(*span, "DATE")
    patterns = (_HOLIDAY, _NUMERIC, _BARE_SHORT) if _DIGITS.search(text) else (_HOLIDAY,)
    for pattern in patterns:
        yield from (Span(*match.span(), "DATE") for match in pattern.finditer(text))
    for match in _SHORT.finditer(text) if _SHORT_FORM.search(text) else ():
        yield Span(*match.span("date"), "DATE")
    for match in _MONTH_OF_YEAR.finditer(text):
        if _event_before(text, match.start()):
            yield Span(match.start(), match.end(), "DATE")


def _around(month: re.Match[str], text: str) -> tuple[int, int] | None:
    """Return the date that a month's name is part of."""
    start, end = month.span()
    day_before = _DAY_BEFORE.search(text[max(0, start - _REACH) : start])
    doubtful = month.group() in _ALSO_WORDS
    if day_before:
        year = _YEAR_AFTER.match(text, end) or _SHORT_YEAR_AFTER.match(text, end)
        if not doubtful or year:
            until = year.end() if year else end
            return start - (min(start, _REACH) - day_before.start()), until
    day_after = _DAY_AFTER.match(text, end)
    if day_after and (not doubtful or _sure(day_after)):
        return start, day_after.end()
    year = _YEAR_AFTER.match(text, end) or _LAST.search(text, max(0, start - 6), start)
    if year and _event_before(text, start):
        return min(start, year.start()), max(end, year.end())
    return None


def _sure(day: re.Match[str]) -> bool:
    """Tell whether what follows `may` or `march` makes it a month."""
    word = day.group("word") or ""
    return bool(day.group("year") or day.group("short") or day.group("th") or word.endswith("th"))


def _event_before(text: str, at: int) -> bool:
    before = text[max(0, at - _EVENT_REACH) : at]
    sentence = re.split(r"[.;?!]\s|\n", before)[-1]
    return bool(_EVENT.search(sentence))


def find_ages(text: str) -> Iterator[Span]:
    """Yield ages over 89; groups such as `90 or older` are nobody's."""
    if not _OLD_ENOUGH.search(text):
        return
    for match in _AGE.finditer(text):
        group = next(name for name in ("number", "after", "said", "coded") if match[name])
        start, end = match.span(group)
        before = text[max(0, start - 24) : start]
        if _GROUP_BEFORE.search(before) or _GROUP_AFTER.match(text, match.end()):
            continue
        if match[group].lower().startswith(("a hundred", "one hundred", "ninety")) or int(
            match[group]
        ):
            yield Span(start, max(end, match.end()), "AGE")
