"""The eighteen classes of identifiers that HIPAA's Safe Harbor names, and what text shows of them.

Source: 45 CFR 164.514(b)(2)(i), paragraphs (A) to (R).
"""

from typing import NamedTuple


class SafeHarborClass(NamedTuple):
    """One paragraph of the rule: its letter, what it names, and our labels for it."""

    letter: str
    title: str
    labels: tuple[str, ...]
    blind: str = ""  # what of it no scanner of text can see


SAFE_HARBOR = (
    SafeHarborClass("A", "names", ("NAME",)),
    SafeHarborClass("B", "places smaller than a state", ("LOCATION",)),
    SafeHarborClass("C", "dates but for the year, ages over 89", ("DATE", "AGE")),
    SafeHarborClass("D", "telephone numbers", ("PHONE",)),
    SafeHarborClass("E", "fax numbers", ("FAX",)),
    SafeHarborClass("F", "e-mail addresses", ("EMAIL",)),
    SafeHarborClass("G", "social security numbers", ("SSN",)),
    SafeHarborClass("H", "medical record numbers", ("MRN",)),
    SafeHarborClass("I", "health plan beneficiary numbers", ("HEALTH_PLAN",)),
    SafeHarborClass("J", "account numbers", ("ACCOUNT",)),
    SafeHarborClass("K", "certificate and licence numbers", ("LICENSE",)),
    SafeHarborClass("L", "vehicle identifiers and plates", ("VEHICLE",)),
    SafeHarborClass("M", "device identifiers and serial numbers", ("DEVICE",)),
    SafeHarborClass("N", "web addresses", ("URL",)),
    SafeHarborClass("O", "IP addresses", ("IP",)),
    SafeHarborClass(
        "P",
        "biometric identifiers",
        ("BIOMETRIC",),
        "finger and voice prints themselves; only a number or digest that stands for one",
    ),
    SafeHarborClass("Q", "full-face photographs", (), "photographs and comparable images"),
    SafeHarborClass("R", "any other unique number, code or characteristic", ("ID",)),
)
LABELS = tuple(label for row in SAFE_HARBOR for label in row.labels)

# Only context and lists tell a name or a place from a word: such findings are reported, never
# a reason to refuse.  All other classes have a form of their own.
ADVISORY = frozenset({"NAME", "LOCATION"})
STRUCTURED = frozenset(LABELS) - ADVISORY
