"""Numbers that a word before them makes an identifier: record, policy, account, licence, plate.

A keyword is found first; the value is then matched right behind it, at most a few words away.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from medlora.data.privacy.spans import Span

_NO = r"(?:\s?(?:numbers?|num\.?|nos?\.?|id(?:entifier)?s?|code|#))"
# A keyword is weak where it is a word of everyday language: only a long value follows it then.
_KEYWORDS: tuple[tuple[str, bool, str], ...] = (
    (
        "MRN",
        False,
        r"m\.?r\.?n\.?s?|m\.?r\.?\s?(?:#|numbers?|no\b\.?)|mr\s?id|(?:med(?:ical)?|health|hospital|"
        r"clinic(?:al)?|patient|electronic)\.?\s(?:medical\s)?(?:rec(?:ord)?s?|chart|file)\.?"
        rf"{_NO}?|(?:patient|pt|hospital|unit|chart|hosp|emr|ehr|epic|fin|uhid|nhs|chi|emrn|empi|"
        rf"rec(?:ord)?|file|registry){_NO}",
    ),
    (
        "HEALTH_PLAN",
        False,
        r"(?:health\s?(?:care\s)?|medical\s|dental\s|insurance\s|ins\.?\s)?(?:plan|policy|polic|"
        r"insur(?:ance|er|ed)?|ins|member(?:ship)?|subscriber|beneficiary|enrollee|coverage|payer|"
        rf"group|policyholder|recipient|hmo|ppo|hp){_NO}|hicn|mbi|hbn|hpbn|hpn|medicare|medicaid|"
        r"(?:health\s)?insurance(?:\s(?:policy|plan|card|member|info\w*|carrier))?|"
        r"(?:health\s|insurance\s|benefits?\s)(?:plan|policy|card)|beneficiary|subscriber|"
        r"policy(?:holder)?|aetna|cigna|humana|bcbs|blue\s?cross(?:\sblue\sshield)?|united\s?health\w*"
        r"|kaiser(?:\spermanente)?\s(?:member|id)|anthem|tricare|rxbin|rxpcn|rxgrp|member",
    ),
    (
        "ACCOUNT",
        False,
        r"(?:bank|checking|savings|billing|patient|hospital|financial|credit|card|guarantor|customer|"
        rf"loyalty|client)\s(?:account|acct|a/c|acc)\.?{_NO}?|(?:account|acct|a/c|acc|invoice|bill(?:ing)?|"
        r"statement|routing|aba|swift|bic|iban|sort|transaction|payment|claim|receipt|loan|ledger|"
        rf"confirmation|check|cheque|card){_NO}|iban|acct\.?|a/c|(?:credit|debit)\scard{_NO}?|"
        r"(?:visa|mastercard|amex|american\sexpress|discover)(?:\s(?:card|ending(?:\sin)?))?|"
        r"account|invoice|hospital\sbill|routing|sort\scode|claim",
    ),
    (
        "VEHICLE",
        False,
        rf"(?:licen[sc]e|number|registration|vehicle|car|truck|motorcycle)\s?(?:plates?|tags?){_NO}?|"
        rf"(?:number\s)?plates?{_NO}?|vehicle\s(?:id(?:entification)?|serial|reg(?:istration)?)\.?{_NO}?|"
        rf"vin{_NO}?|tags?(?:\s?(?:numbers?|no\.?|#))|reg(?:istration)?\.?\splate{_NO}?|"
        r"car\sreg(?:istration)?",
    ),
    (
        "LICENSE",
        False,
        r"(?:driver['’]?s?['’]?\s|driving\s|medical\s|nursing\s|state\s|professional\s|pharmacy\s|pilot\s|"
        rf"physician\s|board\s|practice\s|rn\s|md\s)?(?:licen[sc]e|certificat(?:e|ion)|permit|lic|cert)\.?{_NO}?|"
        rf"(?:dl|npi|dea|passport|registration|credential|visa|cpr\scard|cds|upin){_NO}|npi|dea|passport|"
        r"d\.?l\.?(?=\s?[:#])|green\scard|national\sprovider\sidentifier",
    ),
    (
        "DEVICE",
        False,
        rf"(?:device|implant|pacemaker|defibrillator|icd|pump|stent|prosthe\w+|generator|lead|monitor|"
        r"cgm|sensor|machine|cpap|bipap|ventilator|wheelchair|equipment|unit|meter|glucometer|valve|"
        r"stimulator|catheter|port|hearing\said|scanner|product|equip\.?)\s(?:\w+\s)?(?:serial|s/n|sn|id(?:entifier)?|"
        rf"model|lot|ref|udi|imei|asset|tag){_NO}?|(?:serial|s/n|sn|device|udi|imei|imsi|meid|esn|asset|"
        rf"model|lot|batch|equipment){_NO}|serial|s/n|udi(?:-di)?|imei|device\sidentifier|"
        r"mac\s(?:address|addr|id)|asset\stag",
    ),
    (
        "BIOMETRIC",
        False,
        r"(?:finger|thumb|palm|hand|voice|retina[l]?|iris|face|facial|vein|foot|biometric|dna|gait)"
        r"\s?-?(?:prints?|scans?|geometry|recognition|template|id|profile|pattern|print)?\s?"
        rf"(?:id(?:entifier)?|template|hash|scan|record|sample|code|file|signature|ref(?:erence)?|data|key|token|image|match){_NO}?|"
        r"(?:finger|thumb|palm|voice)\s?prints?(?:\s(?:scan|id))?|biometrics?",
    ),
    (
        "SSN",
        False,
        r"s\.?s\.?n\.?|ss\s?#|social\ssec(?:urity)?(?:\s(?:numbers?|no\.?|#|card))?|soc\.?\ssec\.?|itin|tax\sid|tin",
    ),
    (
        "ID",
        False,
        rf"(?:case|accession|specimen|sample|encounter|visit|study|subject|participant|employee|student|"
        r"staff|badge|order|reference|ref|rx|prescription|script|requisition|referral|authorization|auth|"
        r"tracking|ticket|barcode|session|user|login|customer|client|donor|transplant|trial|research|"
        r"appointment|booking|admission|admit|discharge|report|document|doc|lab|slide|block|"
        r"image|exam|study\sinstance|incident|inmate|military|service|veteran|dod|citizen|national|"
        rf"personal|family|household|resident|bed|wristband|bracelet|unique|internal|external|system|record\slocator|personnel|payroll){_NO}|"
        r"accession|specimen|barcode|wristband|user\s?name|login|handle|"
        r"unique\s(?:id\w*|code)|case",
    ),
    (
        "ID",
        True,
        r"\bid(?:entifier|entification)?(?=\s?[:#=(]|\sis\s|\s[a-z]{0,5}-?\d)|ref(?:erence)?\.?(?=\s?[:#])",
    ),
)
_PATTERNS = "|".join(f"(?P<k{i}>{words})" for i, (_, _, words) in enumerate(_KEYWORDS))
_KEYWORD = re.compile(rf"(?<![a-z0-9])(?:{_PATTERNS})(?![a-z])")  # for a text in small letters

_LINK = re.compile(
    r"(?:\s{0,2}(?:[:=–—(,.\-\"'\[]|#(?=\s?#)|(?:numbers?|num|nos?|ids?|identifiers?|code|is|was|are|of|as|on|"
    r"ending|in|file|listed|under|reference|ref|policy|plan|card|member|group|account|acct|tag|"
    r"plate|serial|sn|s/n|record|registration|reg|reads?|for|the|his|her|their|patient|this|given|"
    r"assigned|issued|recorded|noted|shows?|displays?|with|to|and|mrn|type|state|from|at|by|"
    r"please|note|que|que\ses|lot|hash|stored|scan|template|match(?:ed|es)?|captured|enrolled)"
    r"(?![A-Za-z]|[/\-.]\d)\.?)){0,8}\s{0,3}",
    re.IGNORECASE,
)
_FILLER = re.compile(r"[^\d\n;?!]{0,32}?(?=(?:(?<=[\s#:(])[A-Za-z]{1,5}-?)?\d)")
_VALUE = re.compile(
    r"[#*]?\s?(?P<core>(?=[A-Za-z*/._\-]{0,12}\d|[xX*]{2,8})[A-Za-z0-9*]{1,40}"
    r"(?:[\-./:_–+\\][A-Za-z0-9*]{1,40}){0,10}(?:\s(?:\d{2,6}|[A-Z]{1,3}\d{1,6}|\d{1,6}[A-Z]{1,3}|(?<=\d\s)[A-Z]{2,4}\b)(?![\w/]|[.,:]\d|-\d))"
    r"{0,5})(?P<rest>[A-Za-z0-9])?"
)
_PLATE = re.compile(
    r"[#*]?(?P<core>(?=[A-Z0-9\-·\s]{0,9}\d)[A-Z0-9]{1,8}(?:[\-\s·][A-Z0-9]{1,6}){0,2})(?![A-Za-z0-9])"
)
_HANDLE = re.compile(
    r"(?:twitter|instagram|insta|tiktok|snapchat|facebook|linkedin|telegram|skype|handle|username|"
    r"user\sname|login|screen\sname|ig|x)\b[^\n@]{0,16}(?P<handle>@[\w.]{2,40})"
    r"|(?:user\s?name|login|screen\sname|user\sid)(?:\s(?:is|was))?\s?[:=]?\s?"
    r"(?P<user>(?=[A-Za-z._\-]{0,30}[\d_])[A-Za-z][\w.\-]{2,40})",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s?(?:%|mg|mcg|g|kg|ml|l|cc|mm|cm|days?|weeks?|months?|years?|yrs?|hours?|hrs?|minutes?|mins?|"
    r"times?|tablets?|tabs?|pills?|doses?|units?|percent|patients?|cases?|people|subjects?|"
    r"participants?|dollars?|visits?)(?![A-Za-z])",
    re.IGNORECASE,
)
_WORD_OF_NUMBER = re.compile(r"\d{1,3}(?:[\-–][A-Z]?[a-z]+.*|st|nd|rd|th|s|x)?\Z")
_YEAR = re.compile(r"(?:19|20)\d\d(?:[\-–/](?:19|20)?\d\d)?\Z")
_EVERYDAY = re.compile(
    r"case|claim|account|card|member|policy|policyholder|insurance|medicare|medicaid|visa|discover|"
    r"permit|cert\w*|licen[sc]e|lead|plates?|group|unit|login|handle|anthem|tin|invoice|beneficiary|"
    r"subscriber|biometrics?|lic|cert|.*\s(?:plan|policy|insurance)|hospital\sbill|passport",
    re.IGNORECASE,
)


class _Need(NamedTuple):
    digits: int
    length: int


_DIGIT = re.compile(r"\d|(?<=[\s:#])[xX*]{3}")
_REACH = 96  # characters from the beginning of a keyword to its value
_FEW, _MANY = _Need(2, 3), _Need(3, 5)


class Labelled(NamedTuple):
    """Values right behind their keyword, which beats any form, and values some words away."""

    near: list[Span]
    far: list[Span]


def find_labelled(text: str) -> Labelled:
    """Return the values that keywords announce."""
    labelled = Labelled([], [])
    small = _in_small_letters(text)
    for start, end in _before_digits(text):
        for match in _KEYWORD.finditer(small, start, end):
            index = int(str(match.lastgroup)[1:])
            label, weak, _ = _KEYWORDS[index]
            need = _MANY if weak or _EVERYDAY.fullmatch(match.group()) else _FEW
            _value_after(text, match.end(), label, need, labelled)
    for match in _HANDLE.finditer(text):
        labelled.near.append(Span(*match.span("handle" if match["handle"] else "user"), "ID"))
    return labelled


def _in_small_letters(text: str) -> str:
    """Return a text of the same length; a letter whose small form has two stays as it is."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _before_digits(text: str) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a text in which a keyword could have a value behind it."""
    start = end = 0
    for match in _DIGIT.finditer(text):
        if match.start() - _REACH > end:
            if end:
                yield start, end
            start = match.start() - _REACH
            while text[start - 1].isalnum() and match.start() - start < 2 * _REACH:
                start -= 1
        end = match.start() + 1
    if end:
        yield start, end


def _value_after(text: str, at: int, label: str, need: _Need, labelled: Labelled) -> None:
    """Add the value right behind a keyword, or a long one a few words away."""
    link = _LINK.match(text, at)
    start = link.end() if link else at
    if start == at and text[at - 1 : at + 1].isalnum():
        return
    if label == "VEHICLE":
        plate = _PLATE.match(text, start)
        if plate and _fits(text, plate, _FEW):
            labelled.near.append(Span(plate.start(), plate.end(), label))
            return
    value = _VALUE.match(text, start)
    if value and not value["rest"] and _fits(text, value, need):
        labelled.near.append(Span(value.start(), value.end("core"), label))
        return
    filler = _FILLER.match(text, start)
    value = _VALUE.match(text, filler.end()) if filler else None
    if value and not value["rest"] and _fits(text, value, _Need(5, 6)):
        labelled.far.append(Span(value.start(), value.end("core"), label))


def _fits(text: str, value: re.Match[str], need: _Need) -> bool:
    core = value["core"]
    digits = sum(character.isdigit() for character in core)
    if digits < need.digits or sum(map(str.isalnum, core)) < need.length:
        return False
    if _WORD_OF_NUMBER.match(core) and (need is _MANY or not core.isdigit()):
        return False
    if _YEAR.match(core) and need is not _FEW:
        return False
    return not (core.isdigit() and _UNIT.match(text, value.end()))
