"""Tables and sections of the page, as data that its template lays out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from medlora.report.markdown import number, printable

Tone = Literal["", "good", "bad", "unsure", "absent"]
_TONES: dict[str, Tone] = {"PASS": "good", "FAIL": "bad", "INCONCLUSIVE": "unsure"}
ABSENT = "none"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: what it says, and how."""

    text: str
    tone: Tone = ""
    code: bool = False  # a digest, a key, a command
    whole: bool = False  # in one line, however narrow the page
    share: tuple[float, float, float] | None = None  # low, value, high of 0..1, to be drawn

    @property
    def bar(self) -> dict[str, str] | None:
        """Where the drawing of a share begins, how long it is, where its value stands; of 100."""
        if self.share is None:
            return None
        low, value, high = (100 * min(max(part, 0.0), 1.0) for part in self.share)
        return {"x": f"{low:.2f}", "width": f"{high - low:.2f}", "value": f"{value:.2f}"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row names it.  One of names and values needs no header."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False  # behind its caption until somebody opens it


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    commands: Sequence[str] = field(default_factory=tuple)


def say(value: object) -> Cell:
    """Return any JSON value as a cell."""
    match value:
        case None:
            return Cell(ABSENT, "absent")
        case bool():
            return Cell("yes" if value else "no")
        case int() | float():
            return Cell(number(value))
        case list() | tuple():
            return Cell(", ".join(map(str, value)) or ABSENT)
        case _:
            return Cell(printable(str(value)))


def code(value: object) -> Cell:
    """Return a digest or a key, in letters of one width."""
    return say(None) if value is None else Cell(printable(str(value)), code=True)


def verdict(value: str | None) -> Cell:
    """Return a verdict in its tone."""
    return Cell(value, _TONES.get(value, "")) if value else Cell("no gate", "absent")


def facts(caption: str, labels: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> Table:
    """Return a table with a column for each run; rows that no run has anything for go.

    Args:
        caption: of the table.
        labels: what the runs are called.
        rows: a name and a cell for each run.
    """
    kept = [(name, cells) for name, cells in rows if any(cell.tone != "absent" for cell in cells)]
    header = ["", *labels] if len(labels) > 1 else []
    return Table(caption, header, [[Cell(name), *cells] for name, cells in kept])
