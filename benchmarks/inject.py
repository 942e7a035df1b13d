"""Identifiers planted in notes: what the scanner has to find, made without knowing its patterns.

Each class has formats as forms, headers, letters and hurried typing have them.  Everything is
drawn from a seed; nobody's data is in it.
"""

import random
import string
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

Make = Callable[[random.Random], str]


class Planted(NamedTuple):
    """A text and where identifiers were put into it: (start, end, label)."""

    text: str
    spans: list[tuple[int, int, str]]


def plant(notes: Sequence[str], *, count: int, seed: int) -> list[Planted]:
    """Return the notes with `count` identifiers between their sentences, all classes alike."""
    rng = random.Random(seed)
    labels = list(islice(_forever(rng), count))
    shares: list[list[str]] = [[] for _ in notes]
    for label in labels:
        rng.choice(shares).append(label)
    return [_planted(note, share, rng) for note, share in zip(notes, shares, strict=True)]


def _forever(rng: random.Random) -> Iterator[str]:
    while True:
        yield from rng.sample(list(FORMS), len(FORMS))


def _planted(note: str, labels: Sequence[str], rng: random.Random) -> Planted:
    ends = [at + 2 for at in range(len(note) - 2) if note[at : at + 2] == ". "] or [len(note)]
    places = sorted(rng.choice(ends) for _ in labels)
    text, spans, last = "", [], 0
    for at, label in zip(places, labels, strict=True):
        text += note[last:at]
        before, value, after = rng.choice(FORMS[label])(rng)
        if text and not text[-1].isspace():
            text += " "
        text += before
        spans.append((len(text), len(text) + len(value), label))
        text += value + after + " "
        last = at
    return Planted(text + note[last:], spans)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _first_not_zero(rng: random.Random, count: int) -> str:
    return rng.choice("123456789") + _digits(rng, count - 1)


def _letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(count))


def _hex(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(count))


MONTHS = (
    "January February March April May June July August September October November December"
).split()


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(1931, 2024), rng.randint(1, 12), rng.randint(1, 28)
    name, short = MONTHS[month - 1], MONTHS[month - 1][:3]
    suffix = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    return rng.choice(
        (
            f"{month}/{day}/{year}",
            f"{month:02}/{day:02}/{year % 100:02}",
            f"{month:02}-{day:02}-{year}",
            f"{day:02}.{month:02}.{year}",
            f"{year}-{month:02}-{day:02}",
            f"{year}/{month:02}/{day:02}",
            f"{year}-{month:02}-{day:02} 14:{day:02}",
            f"{year}-{month:02}-{day:02}T08:15:{day:02}Z",
            f"{name} {day}, {year}",
            f"{name} {day}{suffix}, {year}",
            f"{name} {day}{suffix}",
            f"{day} {name} {year}",
            f"{day}{suffix} of {name}, {year}",
            f"{day}{suffix} of {name} {year}",
            f"{short} {day}, {year}",
            f"{short}. {day}, {year}",
            f"{day}-{short}-{year}",
            f"{day:02}{short.upper()}{year}",
            f"{day} {short} '{year % 100:02}",
            f"{name.upper()} {day}, {year}",
            f"{name.lower()} {day} {year}",
            f"{short.lower()} {day}{suffix} {year}",
            f"{year}{month:02}{day:02}",
            f"{month}/{day}/'{year % 100:02}",
        )
    )


def _age(rng: random.Random) -> str:
    return str(rng.choice((*range(90, 105), 107)))


def _phone(rng: random.Random) -> str:
    area, middle, last = (
        f"{rng.randint(201, 989)}",
        f"{rng.randint(200, 999)}",
        _digits(rng, 4),
    )
    return rng.choice(
        (
            f"({area}) {middle}-{last}",
            f"({area}){middle}-{last}",
            f"{area}-{middle}-{last}",
            f"{area}.{middle}.{last}",
            f"{area} {middle} {last}",
            f"{area}{middle}{last}",
            f"+1 {area} {middle} {last}",
            f"+1-{area}-{middle}-{last}",
            f"1-{area}-{middle}-{last}",
            f"+1 ({area}) {middle}-{last}",
            f"{area}-{middle}-{last} ext. {rng.randint(10, 999)}",
            f"{area}-{middle}-{last} x{rng.randint(10, 999)}",
            f"{area}/{middle}-{last}",
            f"+44 20 7{_digits(rng, 3)} {_digits(rng, 4)}",
            f"+49 {rng.randint(30, 89)} {_first_not_zero(rng, 7)}",
            f"+91 {_first_not_zero(rng, 5)} {_digits(rng, 5)}",
            f"07{_digits(rng, 3)} {_digits(rng, 6)}",
        )
    )


WORDS = "river stone maple north cedar quiet amber harbor willow orchard summit prairie".split()


def _email(rng: random.Random) -> str:
    one, two = rng.sample(WORDS, 2)
    host = rng.choice(("example.com", "mail.example.org", "health-example.net", "example.co.uk"))
    form = rng.choice(("{0}.{1}@{2}", "{0}{3}@{2}", "{0}_{1}@{2}", "{0}+{1}@{2}", "{4}{1}@{2}"))
    return form.format(one, two, host, rng.randint(1, 1999), one[0].upper())


def _ssn(rng: random.Random) -> str:
    a, b, c = f"{rng.randint(100, 665)}", f"{rng.randint(10, 99)}", _digits(rng, 4)
    return rng.choice((f"{a}-{b}-{c}", f"{a} {b} {c}", f"{a}{b}{c}", f"XXX-XX-{c}", f"{a}.{b}.{c}"))


def _mrn(rng: random.Random) -> str:
    return rng.choice(
        (
            _first_not_zero(rng, rng.randint(6, 10)),
            f"{_letters(rng, 2)}{_digits(rng, 6)}",
            f"{_letters(rng, 3)}-{_digits(rng, 6)}",
            f"{_digits(rng, 3)}-{_digits(rng, 2)}-{_digits(rng, 2)}",
            f"{_digits(rng, 2)}-{_digits(rng, 2)}-{_digits(rng, 2)}",
            f"{_digits(rng, 7)}{_letters(rng, 1)}",
            f"00{_digits(rng, 6)}",
            f"E{_digits(rng, 7)}",
            f"{_digits(rng, 4)} {_digits(rng, 4)}",
            f"{_digits(rng, 3)} {_digits(rng, 3)} {_digits(rng, 4)}",
        )
    )


def _medicare(rng: random.Random) -> str:
    """Return a number as Medicare cards have it, e.g. 1EG4-TE5-MK73."""
    first = f"{rng.randint(1, 9)}{_letters(rng, 2)}{_digits(rng, 1)}"
    return f"{first}-{_letters(rng, 2)}{_digits(rng, 1)}-{_letters(rng, 2)}{_digits(rng, 2)}"


def _plan(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{_letters(rng, 3)}{_digits(rng, 9)}",
            f"W{_digits(rng, 8)}",
            f"{_digits(rng, 9)}-{_digits(rng, 2)}",
            _medicare(rng),
            f"{_digits(rng, 3)}-{_digits(rng, 2)}-{_digits(rng, 4)}A",
            f"H{_digits(rng, 4)}-{_digits(rng, 3)}",
            f"GRP-{_digits(rng, 5)}",
            _first_not_zero(rng, 11),
        )
    )


def _account(rng: random.Random) -> str:
    return rng.choice(
        (
            _first_not_zero(rng, rng.randint(8, 12)),
            f"{_digits(rng, 4)}-{_digits(rng, 4)}-{_digits(rng, 4)}",
            f"ACC-{_digits(rng, 7)}",
            f"{_letters(rng, 2)}/{_digits(rng, 6)}",
            f"{_digits(rng, 6)}-{_digits(rng, 2)}",
            f"INV{_digits(rng, 6)}",
        )
    )


def _license(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{_letters(rng, 1)}{_digits(rng, 7)}",
            f"{_letters(rng, 1)}{_digits(rng, 3)}-{_digits(rng, 4)}-{_digits(rng, 4)}",
            f"{_letters(rng, 2)}-{_digits(rng, 6)}",
            f"MD{_digits(rng, 5)}",
            f"{_digits(rng, 3)} {_digits(rng, 3)} {_digits(rng, 3)}",
            _first_not_zero(rng, 8),
        )
    )


def _vin(rng: random.Random) -> str:
    return (
        rng.choice("12345JKSW")
        + "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(10))
        + _digits(rng, 6)
    )


def _plate(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{_letters(rng, 3)} {_digits(rng, 4)}",
            f"{_letters(rng, 3)}-{_digits(rng, 4)}",
            f"{_letters(rng, 3)}{_digits(rng, 3)}",
            f"{_digits(rng, 1)}{_letters(rng, 3)}{_digits(rng, 3)}",
            f"{_letters(rng, 2)}{_digits(rng, 2)} {_letters(rng, 3)}",
            f"{_digits(rng, 3)}-{_letters(rng, 3)}",
        )
    )


def _serial(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{_letters(rng, 3)}{_digits(rng, 6)}{_letters(rng, 1)}",
            f"PJN{_digits(rng, 7)}",
            f"{_digits(rng, 4)}-{_letters(rng, 2)}-{_digits(rng, 5)}",
            f"SN{_digits(rng, 8)}",
            _first_not_zero(rng, 15),
            f"{_letters(rng, 2)}.{_digits(rng, 4)}.{_digits(rng, 3)}",
        )
    )


def _url(rng: random.Random) -> str:
    one, two = rng.sample(WORDS, 2)
    return rng.choice(
        (
            f"https://www.{one}-{two}.example.com/p/{_digits(rng, 4)}",
            f"http://{one}.example.org",
            f"www.{one}{two}.com",
            f"https://portal.example.net/records?id={_digits(rng, 6)}&v=2",
            f"{one}{two}.org/{two}",
            f"https://{one}.example.io/~{two}#top",
            f"{one}-{two}.net",
        )
    )


def _ip(rng: random.Random) -> str:
    parts = [rng.randint(1, 254) for _ in range(4)]
    v6 = [_hex(rng, 4) for _ in range(8)]
    return rng.choice(
        (
            ".".join(map(str, parts)),
            ".".join(map(str, parts)),
            ":".join(v6),
            f"2001:db8::{_hex(rng, 4)}",
            f"fe80::{_hex(rng, 4)}:{_hex(rng, 4)}",
        )
    )


def _biometric(rng: random.Random) -> str:
    return rng.choice(
        (
            f"FP-{_digits(rng, 6)}",
            f"{_hex(rng, 32)}",
            f"BIO{_digits(rng, 8)}",
            f"{_letters(rng, 2)}{_digits(rng, 4)}-{_digits(rng, 4)}",
            f"IRIS_{_digits(rng, 5)}",
        )
    )


def _code(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{_letters(rng, 2)}-{_digits(rng, 6)}",
            f"S{_digits(rng, 2)}-{_digits(rng, 5)}",
            f"{_first_not_zero(rng, 8)}",
            f"{_hex(rng, 8)}-{_hex(rng, 4)}-{_hex(rng, 4)}-{_hex(rng, 4)}-{_hex(rng, 12)}",
            f"{_letters(rng, 1)}{_digits(rng, 9)}",
        )
    )


def _around(make: Make, *frames: str) -> list[Callable[[random.Random], tuple[str, str, str]]]:
    """Return one function a frame; `{}` is where the value stands."""

    def framed(frame: str) -> Callable[[random.Random], tuple[str, str, str]]:
        before, after = frame.split("{}")
        return lambda rng: (before, make(rng), after)

    return [framed(frame) for frame in frames]


FORMS = {
    "DATE": _around(
        _date,
        "Seen on {}.",
        "DOB: {}.",
        "Date of service {}.",
        "The patient was admitted {} and did well.",
        "Last colonoscopy was {}, normal.",
        "D: {}\n",
        "Follow up scheduled for {}.",
        "He has been on this dose since {}.",
        "Discharged ({}).",
        "Surgery performed on {} without complication.",
        "Next visit: {};",
        "Imaging dated {} was reviewed.",
        "Born {}.",
    ),
    "AGE": _around(
        _age,
        "This is a {}-year-old woman.",
        "The patient is a {} year old male.",
        "Her {} y/o mother lives with her.",
        "She is {} years old.",
        "Age: {}.",
        "A pleasant {} yo gentleman.",
        "He is {} years of age.",
        "His grandmother died at age {}.",
        "Patient aged {}, frail.",
        "{}yo F with falls.",
        "She turned {} last week.",
        "Pt is a {}-y.o. female.",
    ),
    "PHONE": _around(
        _phone,
        "Call {} with questions.",
        "Phone: {}.",
        "Daughter can be reached at {}.",
        "Home {}.",
        "Cell: {};",
        "Emergency contact number is {}.",
        "Tel. {}.",
        "Please telephone the family on {}.",
        "(M) {}\n",
        "Best number: {}.",
        "Pharmacy {}.",
    ),
    "FAX": _around(
        _phone,
        "Fax: {}.",
        "Please fax the results to {}.",
        "Facsimile {}.",
        "Fax number is {}.",
        "Records faxed to {} today.",
        "F: {}\n",
    ),
    "EMAIL": _around(
        _email,
        "Email: {}.",
        "She prefers to be contacted at {}.",
        "Portal account under {}.",
        "<{}>",
        "Send the letter to {}, please.",
    ),
    "SSN": _around(
        _ssn,
        "SSN: {}.",
        "SSN {}.",
        "Social security number is {}.",
        "SS# {}.",
        "Soc Sec No. {}.",
        "Social Security: {}.",
    ),
    "MRN": _around(
        _mrn,
        "MRN: {}.",
        "MRN {}.",
        "MRN# {}.",
        "Medical record number: {}.",
        "Medical Record No. {}.",
        "Med rec # {}.",
        "Chart number {}.",
        "Patient ID: {}.",
        "Hospital number {}.",
        "MR# {}.",
        "(MRN {})",
        "Unit No: {}.",
        "His medical record number is {}.",
    ),
    "HEALTH_PLAN": _around(
        _plan,
        "Member ID: {}.",
        "Insurance ID {}.",
        "Policy number {}.",
        "Health plan beneficiary number: {}.",
        "Subscriber ID {}.",
        "Medicare number {}.",
        "Medicaid ID: {}.",
        "Group # {}.",
        "Policy #{}.",
        "Insured through Aetna, member {}.",
        "Blue Cross ID {}.",
        "Insurance policy no. {}.",
    ),
    "ACCOUNT": _around(
        _account,
        "Account number {}.",
        "Acct # {}.",
        "Billing account: {}.",
        "Account: {}.",
        "Bank account no. {}.",
        "Invoice number {}.",
        "Patient account {}.",
        "Acct: {}.",
    ),
    "LICENSE": _around(
        _license,
        "Driver's license {}.",
        "DL# {}.",
        "License number: {}.",
        "License No. {}.",
        "DEA number {}.",
        "Medical license {}.",
        "Certificate number {}.",
        "Passport number {}.",
        "Driver license no: {}.",
        "NPI {}.",
        "State license #{}.",
    ),
    "VEHICLE": [
        *_around(
            _vin,
            "VIN {}.",
            "VIN: {}.",
            "Vehicle identification number {}.",
            "He crashed his car ({}).",
        ),
        *_around(
            _plate,
            "License plate {}.",
            "Plate number {}.",
            "Car with plates {}.",
            "License plate number: {}.",
            "Parking tag # {}.",
            "Vehicle registration {}.",
        ),
    ],
    "DEVICE": _around(
        _serial,
        "Serial number {}.",
        "Pacemaker serial number {}.",
        "Device ID: {}.",
        "S/N {}.",
        "S/N: {}.",
        "Implant serial no. {}.",
        "Insulin pump, serial {}.",
        "ICD serial #{}.",
        "Device serial: {}.",
        "Hearing aid SN {}.",
    ),
    "URL": _around(
        _url,
        "See {}.",
        "Family blog: {}.",
        "Photos are at {} for review.",
        "Website {}.",
        "({})",
    ),
    "IP": _around(
        _ip,
        "Logged in from {}.",
        "IP address {}.",
        "IP: {}.",
        "Telehealth visit from {} today.",
        "Client {} connected.",
    ),
    "BIOMETRIC": _around(
        _biometric,
        "Fingerprint ID {}.",
        "Biometric identifier: {}.",
        "Retinal scan ID {}.",
        "Voiceprint {}.",
        "Iris scan record {}.",
        "Fingerprint template {} on file.",
        "Palm scan ID: {}.",
        "Face template hash {}.",
    ),
    "ID": _around(
        _code,
        "Case number {}.",
        "Accession number {}.",
        "Specimen ID: {}.",
        "Study ID {}.",
        "Encounter # {}.",
        "Reference number {}.",
        "Employee ID {}.",
        "Prescription number {}.",
        "Case #{}.",
        "Visit ID: {}.",
        "Subject ID {}.",
    ),
}
