"""JSON Lines: each line is a row as it stands."""

from medlora.data.formats.format import Format, NumberedRows, Opening
from medlora.data.size_limits import lines_of


def line_rows(opening: Opening) -> NumberedRows:
    """Yield (number from 1, line) of a file that has one object a line."""
    for number, line in enumerate(lines_of(opening.stream), start=1):
        yield number, line.rstrip(b"\r\n")


LINES = Format(
    "jsonl",
    (".jsonl", ".ndjson"),
    line_rows,
    by_line=True,
    is_lines=True,
)
