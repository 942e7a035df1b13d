"""What a privacy scan found, in numbers, as a manifest states it."""

from typing import NotRequired, TypedDict


class ScannedFile(TypedDict):
    """How many rows of a file have identifiers of people, and how many of each class."""

    scanned: NotRequired[bool]  # false where the file cannot be read as rows
    rows: int
    rows_with: int
    counts: dict[str, int]


class Scanner(TypedDict):
    """Which scanner it was; the digest covers code and lists."""

    version: int
    sha256: str


class PrivacyFacts(TypedDict):
    """The policy, and what was found unless it is `off`."""

    policy: str
    scanner: NotRequired[Scanner]
    files: NotRequired[dict[str, ScannedFile]]  # by split
