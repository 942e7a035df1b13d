"""A terminal's screen: what stands in which row after all that was printed, and after resizing."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b]")


@dataclass
class Screen:
    """Knows what the view uses: text, line ends, going up, erasing a row; colours are passed over.

    Attributes:
        columns: how wide it is.
        reflows: whether lines that no longer fit go on in the next row, or are cut off.
        lines: as they were printed; a line takes as many rows as it needs.
        line: that the cursor is in.
        place: the cursor's, in that line.
    """

    columns: int
    reflows: bool = True
    lines: list[list[str]] = field(default_factory=lambda: [[]])
    line: int = 0
    place: int = 0

    def feed(self, text: str) -> None:
        """Print."""
        for token in _TOKEN.finditer(text):
            match token[2] or token[0]:
                case "A":
                    self._up(int(token[1] or 1))
                case "K":
                    self._erase()
                case "\r":
                    self.place = self._row() * self.columns
                case "\n":
                    self._down()
                case one if token[2] is None:
                    self._write(one)

    def resize(self, columns: int) -> None:
        """Make it wider or narrower."""
        self.columns = columns
        if not self.reflows:
            self.lines = [line[:columns] for line in self.lines]
            self.place = min(self.place, columns)

    def rows(self) -> list[str]:
        """What stands on it."""
        return ["".join(part).rstrip() for line in self.lines for part in self._parts(line)]

    def _parts(self, line: list[str]) -> list[list[str]]:
        starts = range(0, max(1, len(line)), self.columns)
        return [line[start : start + self.columns] for start in starts]

    def _row(self) -> int:
        waits = 0 < self.place == len(self.lines[self.line])  # behind the last column, not below
        return (self.place - waits) // self.columns

    def _write(self, one: str) -> None:
        line = self.lines[self.line]
        line.extend(" " * (self.place + 1 - len(line)))
        line[self.place] = one
        self.place += 1

    def _up(self, count: int) -> None:
        for _ in range(count):
            if self._row():
                self.place -= self.columns
            elif self.line:
                self.line -= 1
                above = len(self._parts(self.lines[self.line])) - 1
                self.place += above * self.columns

    def _down(self) -> None:
        self._split()
        self.line += 1
        self.place = 0
        if self.line == len(self.lines):
            self.lines.append([])

    def _erase(self) -> None:
        self._split()
        self.lines[self.line] = []

    def _split(self) -> None:
        """Make each row of this line a line: what is erased or left does not flow any more."""
        row, parts = self._row(), self._parts(self.lines[self.line])
        parts.extend([] for _ in range(row + 1 - len(parts)))
        self.lines[self.line : self.line + 1] = parts
        self.line += row
        self.place -= row * self.columns
