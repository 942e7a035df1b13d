"""Ways to reach somebody: telephone, fax, e-mail, web and network addresses.

A number that the public is meant to call in need, such as 988, is nobody's and stays.
"""

import ipaddress
import re
from collections.abc import Iterator

from medlora.data.privacy.spans import Span

_EMAIL = re.compile(
    r"(?<![\w.+%\-])[\w.+%\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w@])"
)
_EMAIL_IN_WORDS = re.compile(
    r"(?<![\w.+%\-])[\w.+%\-]{1,64}\s?(?:\(at\)|\[at\]|\{at\}|\sat\s)\s?"
    r"[\w\-]{1,63}(?:\s?(?:\(dot\)|\[dot\]|\sdot\s|\.)\s?[\w\-]{1,63}){0,3}"
    r"\s?(?:\(dot\)|\[dot\]|\sdot\s)\s?[A-Za-z]{2,6}\b",
    re.IGNORECASE,
)
_DOT = re.compile(r"[\s(\[]dot[\s)\]]", re.IGNORECASE)
# Without a path only what is no English word: "fever.no chills" is no host.
_TLD = (
    "com|org|net|edu|gov|mil|int|info|biz|io|co\\.[a-z]{2}|uk|ca|de|fr|es|nl|ch|au|nz|ie|se|dk|fi"
    "|pl|pt|cz|eu|cn|jp|kr|br|mx|za|tv|hu|hr|ru|ua|tr|gr|ro|sk|si|lt|lv|il|kiwi|example"
    "|(?:us|co|it|be|at|no|in|me|is|to|app|dev|health|care|clinic|online|site)(?=/)"
    "|com\\.[a-z]{2}|org\\.[a-z]{2}"
)
_POINTED = re.compile(r"[A-Za-z0-9]\.[A-Za-z]{2}|://|www\.")  # else there is no URL
_DIGIT_AND_MARK = re.compile(r"\d\.\d|[\dA-Fa-f]:[\dA-Fa-f:]|::")  # else no IP address
_MANY_DIGITS = re.compile(
    r"\d[\d\s().\-–/+]{4,20}\d|8(?:00|88|77|66|55|44|33)[\-\s.]"
)  # else no telephone
_SCHEME = re.compile(r"(?<![A-Za-z])(?:https?|ftp|sftp)://[^\s<>\"'`\]}|\\]{3,2000}", re.IGNORECASE)
_WWW = re.compile(r"(?<![\w.@/])www\.[^\s<>\"'`\]}|\\]{3,2000}", re.IGNORECASE)
_HOST = re.compile(
    rf"(?<![\w.@/\-])(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{{0,61}}[A-Za-z0-9])?\.){{1,4}}(?:{_TLD})"
    r"(?![\w@]|\.\w|-\w)(?::\d{1,5})?(?:/[^\s<>\"'`\]}|\\]{0,2000})?",
)
_SHORT_HOSTS = re.compile(r"\A\w{1,2}\.\w{2,3}\Z|\A[A-Z]\.|\A\d")  # a.m., e.g.no, J.Me
# Authorities whose address tells nobody's: health services and their libraries.
_PUBLIC_HOST = re.compile(
    r"(?:\w+://)?(?:[\w\-]+\.){0,3}(?:cdc|nih|fda|hhs|samhsa|cms|medlineplus|cancer|"
    r"clinicaltrials|medicare|healthcare|usa|va|who|988lifeline|crisistextline|poison|nhs)"
    r"\.(?:gov|int|org|uk)\b",
    re.IGNORECASE,
)
_OWN_PART = re.compile(r"@|\d{7}|[?&](?:id|user|patient|mrn|name)=", re.IGNORECASE)

_V4_PART = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_V4 = re.compile(
    rf"(?<![\d.])(?<!v)(?<!ersion\s){_V4_PART}(?:\.{_V4_PART}){{3}}(?!\.?\d)(?:/\d{{1,2}})?"
)
_V6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{2,39}"
    r"(?:\d{1,3}(?:\.\d{1,3}){3})?(?:%\w{1,16})?(?![\w:])"
)

_EXTENSION = r"(?:\s{0,2},?\s?(?:x|ext\.?|extension|#)\s{0,2}\d{1,6})?"
_SEP = r"[\s.\-–/]"
_AMERICAN = re.compile(
    rf"(?<![\w.])(?<!\d[\-/])(?:\+?(?:00)?1{_SEP}{{0,2}})?"
    rf"(?:\(\s?\d{{3}}\s?\){_SEP}{{0,2}}|\d{{3}}{_SEP}{{1,2}}|\d{{3}}(?=\d{{3}}[\-.]))"
    rf"\d{{3}}{_SEP}{{1,3}}\d{{4}}(?!\d|-\d){_EXTENSION}",
    re.IGNORECASE,
)
_WORLD = re.compile(
    rf"(?<![\w.+])(?:\+\s?|00)[1-9]\d{{0,2}}(?:{_SEP}{{0,2}}\(?\d{{1,12}}\)?){{1,7}}(?!\d){_EXTENSION}",
    re.IGNORECASE,
)
_TRUNK = re.compile(rf"(?<![\w.,/:$+\-])\(?0\d{{1,4}}\)?(?:{_SEP}\d{{2,8}}){{1,5}}(?!\d|[,.]\d)")
_PLAIN = re.compile(r"(?<![\w.,$/#\-])[2-9]\d{2}[2-9]\d{6}(?![\w\-]|[.,]\d)")
_FICTION = re.compile(r"(?<![\d\-.])555[\-.\s]\d{4}(?![\d\-])")
_LETTERS = re.compile(
    r"(?<![\w\-])(?:1[\-\s.])?8(?:00|88|77|66|55|44|33)[\-\s.](?=[\d\-]{0,6}[A-Z])[A-Z0-9][A-Z0-9\-]{5,11}"
)
_NAMED = re.compile(
    r"(?<![A-Za-z])(?:tele)?(?:phones?|tel|cell(?:ular)?|mobile|mob|pager|beeper|fax(?:es)?|facsimile|"
    r"call(?:ed|ing|back)?|contact|reach(?:ed|able)?|text(?:ed)?|dial(?:ed)?|ring|sms|whatsapp|"
    r"voicemail|hotline|landline|number|ph|home|work|office|p|t|f|c|m)(?![A-Za-z])"
    r"(?:[^\d\n+(]{0,24}?)(?P<number>\+?\(?\d[\d().\-–/ ]{5,20}\d)(?!\d|/\d|%|\s?(?:mg|ml|mcg|g\b))"
    + _EXTENSION,
    re.IGNORECASE,
)
_WEAK_NAMES = frozenset({"number", "home", "work", "office", "p", "t", "f", "c", "m", "contact"})
_FAX = re.compile(r"fax|facsimile|telecop|(?<![a-z])f:", re.IGNORECASE)
_FAX_REACH = 32
_SHORTEST, _LONGEST = 7, 15  # digits of a telephone number; source: ITU-T E.164

# Crisis and information lines of the public, as digits without a leading 1.
_PUBLIC_NUMBERS = frozenset(
    (
        "8002738255 8002221222 8006624357 8007997233 8006564673 8004224453 8009855990 8664887386 "
        "8334564566 8006686868 8338526262 8009312237 8339430500 8004784227 8002324636 8004226237 "
        "8003326747 8007872729 8773328585 8666733746 8778877233 8888437672 8883737888 8008435678 "
        "8006334227 8007721213 8003111234 08457909090 08001111 116123 116111 116000"
    ).split()
)
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")


def find_contacts(text: str) -> Iterator[Span]:
    """Yield e-mail, web and network addresses, telephone and fax numbers."""
    if "@" in text:
        yield from (Span(*match.span(), "EMAIL") for match in _EMAIL.finditer(text))
    if _DOT.search(text):
        yield from (Span(*match.span(), "EMAIL") for match in _EMAIL_IN_WORDS.finditer(text))
    if _POINTED.search(text):
        yield from _urls(text)
    if _DIGIT_AND_MARK.search(text):
        yield from _networks(text)
    if _MANY_DIGITS.search(text):
        yield from _numbers(text)


def _urls(text: str) -> Iterator[Span]:
    for pattern in (_SCHEME, _WWW, _HOST):
        for match in pattern.finditer(text):
            url = match.group().rstrip(".,;:!?)*")
            if pattern is _HOST and _SHORT_HOSTS.match(url):
                continue
            if not (_PUBLIC_HOST.match(url) and not _OWN_PART.search(url)):
                yield Span(match.start(), match.start() + len(url), "URL")


def _networks(text: str) -> Iterator[Span]:
    for match in _V4.finditer(text):
        yield Span(*match.span(), "IP")
    for match in _V6.finditer(text) if text.count(":") > 1 else ():
        if _is_v6(match.group().partition("%")[0]):
            yield Span(*match.span(), "IP")


def _is_v6(value: str) -> bool:
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return len(value) > 3  # noqa: PLR2004  (:: alone is a mark of C++)


def _numbers(text: str) -> Iterator[Span]:
    """Yield telephone numbers; a word such as fax shortly before makes it one of that class."""
    for pattern in (_AMERICAN, _WORLD, _TRUNK, _PLAIN, _FICTION, _LETTERS):
        for match in pattern.finditer(text):
            if _callable(match.group(), strict=pattern is _TRUNK):
                yield _labelled(text, match.start(), match.end())
    for match in _NAMED.finditer(text):
        number, name = match["number"], match.group().split("(")[0]
        weak = re.split(r"[^A-Za-z]", name, maxsplit=1)[0].lower() in _WEAK_NAMES
        if _callable(number, strict=weak):
            yield _labelled(text, match.start("number"), match.end())


def _labelled(text: str, start: int, end: int) -> Span:
    before = text[max(0, start - _FAX_REACH) : start]
    sentence = re.split(r"[;\n]|\.\s|\d{4}", before)[-1]
    return Span(start, end, "FAX" if _FAX.search(sentence) else "PHONE")


def _callable(number: str, *, strict: bool) -> bool:
    """Tell whether digits can be somebody's number; `strict` where no word says so."""
    number = re.split(r"\s{0,2},?\s?(?:x|ext)", number.lower(), maxsplit=1)[0]
    digits = re.sub(r"\D", "", number.upper().translate(_KEYPAD))
    least = _SHORTEST + 2 if strict else _SHORTEST
    public = digits.removeprefix("1") in _PUBLIC_NUMBERS
    return least <= len(digits) <= _LONGEST and not public
