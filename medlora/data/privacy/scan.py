"""`scan_text`: every identifier that patterns, context and lists find in one text."""

import re
from collections.abc import Iterator

from medlora.data.privacy.addresses import find_addresses
from medlora.data.privacy.contacts import find_contacts
from medlora.data.privacy.dates import find_ages, find_dates
from medlora.data.privacy.labelled import find_labelled
from medlora.data.privacy.names import find_names
from medlora.data.privacy.numbers import find_numbers
from medlora.data.privacy.places import find_places
from medlora.data.privacy.spans import Span, merged
from medlora.data.privacy.tokens import tokens_of

_DIGIT = re.compile(r"\d")


def scan_text(text: str) -> list[Span]:
    """Return the identifiers in a text: (start, end, label), in order, none over another.

    Offsets count characters.  Labels are those of `classes.LABELS`.  What is not found may be
    there all the same: see the recall in docs/safety-and-privacy.md.
    """
    labelled = find_labelled(text)
    return merged((labelled.near, _candidates(text), labelled.far), text)


def _candidates(text: str) -> Iterator[Span]:
    yield from find_contacts(text)
    yield from find_dates(text)
    yield from find_ages(text)
    if _DIGIT.search(text):
        yield from find_numbers(text)
        yield from find_addresses(text)
    tokens = tokens_of(text)
    yield from find_places(tokens)
    yield from find_names(tokens)
