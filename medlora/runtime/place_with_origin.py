"""One value for a place, and where it came from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlaceValue:
    """A value for a place and its origin; `mounted` is False for an empty folder."""

    value: str
    origin: str
    mounted: bool = True
