"""Hold rows out for evaluation, so that no question stands on both sides."""

import hashlib
from collections import defaultdict

from medlora.data.records import Record


def hold_out(
    rows: list[Record], *, fraction: float, seed: int
) -> tuple[list[Record], list[Record]]:
    """Return (training rows, evaluation rows), each in the order of the file.

    Rows with the same question (case and spacing aside) stay together.  Whole questions are
    drawn in the order of a hash of seed and question, so the split does not depend on the
    order of the file, until `fraction` of the rows is reached; at least one question is left
    for training.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.question].append(index)
    wanted = round(len(rows) * fraction)
    held: set[int] = set()
    for question in sorted(groups, key=lambda text: _rank(text, seed))[: len(groups) - 1]:
        if len(held) >= wanted:
            break
        held.update(groups[question])
    train = [row for index, row in enumerate(rows) if index not in held]
    return train, [rows[index] for index in sorted(held)]


def _rank(question: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{question}".encode()).digest()
