"""Identifiers are found by class; what looks like one and is nobody's stays."""

from itertools import pairwise

import pytest

from benchmarks.hostile import SCANNED, repeated
from medlora import scan_text
from medlora.data.privacy.classes import LABELS, SAFE_HARBOR, STRUCTURED
from medlora.data.privacy.lists import fold, lists


def found(text: str) -> list[tuple[str, str]]:
    """What is found in a text: (characters, label)."""
    return [(text[start:end], label) for start, end, label in scan_text(text)]


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        ("Seen by Dr. Osterhagen today.", "Dr. Osterhagen", "NAME"),
        ("His wife Maria called.", "Maria", "NAME"),
        ("SMITH, JOHN was seen.", "SMITH, JOHN", "NAME"),
        ("Gonzalez, Ana\n", "Gonzalez, Ana", "NAME"),
        ("A 60-year-old man, Peter A., with gout", "Peter A.", "NAME"),
        ("my name is john smith", "john smith", "NAME"),
        ("talk to Femke van der Berg please", "Femke van der Berg", "NAME"),
        ("Patient Gonzalez reports pain", "Gonzalez", "NAME"),
        ("Ewa Šmídová came late", "Ewa Šmídová", "NAME"),
        ("admitted to St. Luke's Hospital last night", "St. Luke's Hospital", "LOCATION"),
        ("He lives in Albuquerque with a cat", "Albuquerque", "LOCATION"),
        ("from Foo Falls, MN originally", "Foo Falls, MN", "LOCATION"),
        ("address is 1234 Elm St, Boston", "1234 Elm St, Boston", "LOCATION"),
        ("wohnt: Hauptstraße 12", "Hauptstraße 12", "LOCATION"),
        ("zip code 94103", "94103", "LOCATION"),
        ("in Cook County jail", "Cook County", "LOCATION"),
        ("on 4th of July 2022 she fell", "4th of July 2022", "DATE"),
        ("seen Jan 9th '23", "Jan 9th '23", "DATE"),
        ("on January tenth two thousand nine", "January tenth two thousand nine", "DATE"),
        ("admitted 2023-04-25T10:15:00Z", "2023-04-25T10:15:00Z", "DATE"),
        ("discharged 12MAR2023", "12MAR2023", "DATE"),
        ("seen on 3/14 for cough", "3/14", "DATE"),
        ("el 12 de marzo de 2023", "12 de marzo de 2023", "DATE"),
        ("was admitted in July 2021 for it", "July 2021", "DATE"),
        ("a 93-year-old man", "93-year-old", "AGE"),
        ("She is ninety-two years old", "ninety-two years old", "AGE"),
        ("call (555) 123-4567 x12", "(555) 123-4567 x12", "PHONE"),
        ("ring +49 30 1234567", "+49 30 1234567", "PHONE"),
        ("fax records to 987-654-3210", "987-654-3210", "FAX"),
        ("write to a.b+c@mail.example.org.", "a.b+c@mail.example.org", "EMAIL"),
        ("SSN 123-45-6789", "123-45-6789", "SSN"),
        ("MRN: #CC-98765", "#CC-98765", "MRN"),
        ("Medicare 1EG4-TE5-MK73", "1EG4-TE5-MK73", "HEALTH_PLAN"),
        ("insurance plan #DB-2345678", "#DB-2345678", "HEALTH_PLAN"),
        ("card 4111 1111 1111 1111", "4111 1111 1111 1111", "ACCOUNT"),
        ("pay to DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00", "ACCOUNT"),
        ("DEA number AB1234563", "AB1234563", "LICENSE"),
        ("VIN 1HGCM82633A004352", "1HGCM82633A004352", "VEHICLE"),
        ("license plate ABC 1234", "ABC 1234", "VEHICLE"),
        ("pacemaker serial number PJN1234567", "PJN1234567", "DEVICE"),
        ("see https://a.example.com/p?id=1.", "https://a.example.com/p?id=1", "URL"),
        ("from 192.168.10.12 today", "192.168.10.12", "IP"),
        ("from 2001:db8::1f today", "2001:db8::1f", "IP"),
        ("fingerprint ID FP-123456", "FP-123456", "BIOMETRIC"),
        ("case #JH-998877", "#JH-998877", "ID"),
    ],
)
def test_an_identifier_is_found_whole_with_its_class(text: str, value: str, label: str) -> None:
    """The whole of it, and nothing beside it."""
    assert found(text) == [(value, label)]


@pytest.mark.parametrize(
    "text",
    [
        "Call 988 or 911, in Europe 112, or 1-800-273-8255 or 1-800-273-TALK at once.",
        "Poison control is at 1-800-222-1222.",
        "Diagnosed in 2021 and again in '15, since January 2023.",
        "A 89-year-old woman; adults 90 or older; patients over 95 years old.",
        "He moved from Texas to New Mexico and then to France.",
        "Alzheimer's disease, Crohn's, a positive Babinski sign, Graves' disease, Lynch syndrome.",
        "Trials such as GUSTO, ALLHAT and SPRINT; ADA and AHA guidelines; an ELISA test.",
        "Take Lisinopril 20 mg, Eliquis 5 mg and Humira; an eGFR of 45, BP 120/80, pain 7/10.",
        "She may 2 times a day. The march of 3 patients. Strength 4/5 in both legs.",
        "A temperature of 101.5 F, a weight of 95 kg, a 90-day course, 2-4 times, ICD-10 code.",
        "See PMID 12345678 and NCT01234567; COVID-19; IL-6; CD4; vitamin D; hepatitis B.",
        "Visit medlineplus.gov or www.cdc.gov for more.",
        "The insurance covers 12 visits; his account of 3 falls; plan: 1. rest 2. water.",
    ],
)
def test_what_is_nobodys_stays(text: str) -> None:
    """Crisis lines, years, ages up to 89, states, eponyms, trials, drugs, doses."""
    assert found(text) == []


def test_a_name_once_found_is_found_wherever_it_is_said() -> None:
    """By the surname alone, earlier and later."""
    text = "Okonkwo agreed. Mr. Okonkwo was told. The Okonkwo family waits."
    assert [value for value, _ in found(text)] == ["Okonkwo", "Mr. Okonkwo", "Okonkwo"]


def test_spans_are_in_order_and_none_stands_over_another() -> None:
    """Whatever patterns claim: each character has one label."""
    text = (
        "MRN 123-45-6789, DOB 03/14/1958, call Dr. John Smith at 555-123-4567 in Chicago, IL 60601."
    )
    spans = scan_text(text)
    assert len(spans) >= 5
    assert all(one.end <= two.start for one, two in pairwise(spans))
    assert {span.label for span in spans} <= set(LABELS)


def test_offsets_count_characters() -> None:
    """Not bytes: what stands before may have any script."""
    text = "🙂 naïve İstanbul'da: MRN 12345678"
    assert ("12345678", "MRN") in found(text)


def test_there_are_eighteen_classes_and_the_blind_spots_are_named() -> None:
    """A to R, each with a label or the reason why it has none."""
    assert [row.letter for row in SAFE_HARBOR] == list("ABCDEFGHIJKLMNOPQR")
    assert all(row.labels or row.blind for row in SAFE_HARBOR)
    assert set(LABELS) - STRUCTURED == {"NAME", "LOCATION"}


@pytest.mark.parametrize("part", [*SCANNED, "".join(SCANNED)])
def test_whatever_is_repeated_no_span_stands_over_another(part: str) -> None:
    """One thing over and over, or many things in turn: in order, and within the text."""
    text = repeated(part, 3_000)
    spans = scan_text(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(span.end <= following.start for span, following in pairwise(spans))


def test_the_lists_are_small_and_folded() -> None:
    """Under a megabyte in all, in the form that words are looked up in."""
    known = lists()
    for words in (known.given, known.surnames, known.cities, known.eponyms, known.regions):
        assert words
        assert all(word == fold(word) for word in words)
    size = sum(len(word) + 1 for name in known.__slots__[:7] for word in getattr(known, name))
    assert size < 1_000_000
