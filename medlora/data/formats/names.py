"""Which format a file has, by its name: `train.csv.gz` is a compressed table."""

import re
from pathlib import Path
from typing import NamedTuple

from medlora.data.formats.format import Format
from medlora.data.formats.lines import LINES
from medlora.data.formats.registry import FORMATS

_BY_SUFFIX = {suffix: format_ for format_ in FORMATS for suffix in format_.suffixes}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
# What systems and editors leave beside files: macOS' `._train.csv` and `.DS_Store`, vim's and
# Emacs' `.train.csv.swp`, `train.csv~`, `#train.csv#`, Office's `~$train.csv`.
_LEFTOVER = re.compile(r"\..*|~\$.*|#.*#|.*(?:~|\.(?:bak|orig|part|sw[a-p]|tmp))", re.IGNORECASE)


class FileFormat(NamedTuple):
    """What is in a file, and what it is compressed with, if it is."""

    format: Format
    compression: str | None
    suffix: str  # the format's own, without the compression's

    @property
    def seekable(self) -> bool:
        """Whether a row can be read by its offset alone."""
        return self.format.is_lines and self.compression is None


def format_of(file: Path) -> FileFormat:
    """Return a file's format; one without a known name is taken for JSON Lines."""
    *_, inner, last = ("", "", *(suffix.lower() for suffix in file.suffixes))
    compression = _COMPRESSIONS.get(last)
    suffix = inner if compression else last
    return FileFormat(_BY_SUFFIX.get(suffix, LINES), compression, suffix)


def is_data(file: Path) -> bool:
    """Tell whether a file has the name of a data file."""
    return not is_leftover(file) and format_of(file).suffix in _BY_SUFFIX and file.is_file()


def is_leftover(file: Path) -> bool:
    """Tell whether a file is what a system or an editor leaves beside data, by its name."""
    return _LEFTOVER.fullmatch(file.name) is not None


def stem_of(file: Path) -> str:
    """Return a data file's name without what tells its format."""
    name = Path(file.name)
    if name.suffix.lower() in _COMPRESSIONS:
        name = name.with_suffix("")
    return (name.with_suffix("") if name.suffix.lower() in _BY_SUFFIX else name).name


def suffixes() -> str:
    """Return the endings that data files may have, for a message."""
    return ", ".join(_BY_SUFFIX)
