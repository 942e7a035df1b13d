"""What a file's name says of it: for training, for evaluation, a test set, one of several shards.

Source: the names that the Hugging Face hub gives and reads ("File names and splits"):
`train-00000-of-00002.parquet`, `validation-...`, `test-...`; older ones end in a digest.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from medlora.data.formats.names import stem_of

Role = Literal["train", "eval", "test"]
STEMS: dict[Role, tuple[str, ...]] = {
    "train": ("train", "training"),
    "eval": ("eval", "evaluation", "validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_ROLE = {stem: role for role, stems in STEMS.items() for stem in stems}
_NUMBERED = re.compile(r"([a-z]+)[-_.]?\d[-_.0-9]*(?:of[-_.]?\d+)?(?:-[0-9a-f]{16})?")
_SHARD = re.compile(r"([a-z]+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?")
_WORDS = re.compile(r"[a-z]+")


def role_of(file: Path) -> Role | None:
    """Return what a file is for by its name, with a shard's number or without; None says nothing.

    `test-results.csv` says nothing either: it may be about tests of blood.
    """
    stem = stem_of(file).lower()
    numbered = _NUMBERED.fullmatch(stem)
    return _ROLE.get(numbered[1] if numbered else stem)


def may_be_test(file: Path) -> bool:
    """Tell whether any word of a file's name speaks of a test."""
    return not {"test", "testing", "tests"}.isdisjoint(_WORDS.findall(stem_of(file).lower()))


def shards_of(files: Iterable[Path], stem: str) -> list[Path]:
    """Return the shards of a split, as the hub names them, in their order."""
    named = ((_SHARD.fullmatch(stem_of(file).lower()), file) for file in files)
    return [file for shard, file in sorted(named, key=_in_order) if shard and shard[1] == stem]


def _in_order(named: tuple[re.Match[str] | None, Path]) -> tuple[str, Path]:
    shard, file = named
    return shard[2] if shard else "", file


def missing_shards(shards: Sequence[Path]) -> str | None:
    """Return what is wrong with the shards of a split, None where each is there once."""
    matches = [_SHARD.fullmatch(stem_of(file).lower()) for file in shards]
    numbers = [(int(match[2]), int(match[3])) for match in matches if match]
    counts = {count for _, count in numbers}
    if len(counts) > 1 or len(set(numbers)) < len(numbers):
        return "shards of two sets of files"
    (count,) = counts
    absent = sorted(set(range(count)) - {number for number, _ in numbers})
    if not absent:
        return None
    return f"{len(absent)} of {count} shards are missing, first number {absent[0]}"
