"""Which format a file has, by its name: `train.csv.gz` is a compressed table."""

import re
from pathlib import Path
from typing import NamedTuple

LINES, ARRAY, TABLE, PARQUET, TEXT = "jsonl", "json", "table", "parquet", "text"
_FORMATS = {
    ".jsonl": LINES,
    ".ndjson": LINES,
    ".json": ARRAY,
    ".csv": TABLE,
    ".tsv": TABLE,
    ".parquet": PARQUET,
    ".txt": TEXT,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
# What systems and editors leave beside files: macOS' `._train.csv` and `.DS_Store`, vim's and
# Emacs' `.train.csv.swp`, `train.csv~`, `#train.csv#`, Office's `~$train.csv`.
_LEFTOVER = re.compile(r"\..*|~\$.*|#.*#|.*(?:~|\.(?:bak|orig|part|sw[a-p]|tmp))", re.IGNORECASE)
_BY_LINE = (LINES, TABLE)  # in these a row is known by its line, in the others by its number


class Format(NamedTuple):
    """What is in a file, and what it is compressed with, if it is."""

    name: str
    compression: str | None = None
    suffix: str = ".jsonl"

    @property
    def seekable(self) -> bool:
        """Whether a row can be read by its offset alone."""
        return self.name == LINES and self.compression is None

    @property
    def by_line(self) -> bool:
        """Whether a row is known by its line, and not by its number."""
        return self.name in _BY_LINE


def format_of(file: Path) -> Format:
    """Return a file's format; one without a known name is taken for JSON Lines."""
    *_, inner, last = ("", "", *(suffix.lower() for suffix in file.suffixes))
    compression = _COMPRESSIONS.get(last)
    suffix = inner if compression else last
    return Format(_FORMATS.get(suffix, LINES), compression, suffix)


def is_data(file: Path) -> bool:
    """Tell whether a file has the name of a data file."""
    return not is_leftover(file) and format_of(file).suffix in _FORMATS and file.is_file()


def is_leftover(file: Path) -> bool:
    """Tell whether a file is what a system or an editor leaves beside data, by its name."""
    return _LEFTOVER.fullmatch(file.name) is not None


def stem_of(file: Path) -> str:
    """Return a data file's name without what tells its format."""
    name = Path(file.name)
    if name.suffix.lower() in _COMPRESSIONS:
        name = name.with_suffix("")
    return (name.with_suffix("") if name.suffix.lower() in _FORMATS else name).name


def suffixes() -> str:
    """Return the endings that data files may have, for a message."""
    return ", ".join(_FORMATS)
