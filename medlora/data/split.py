"""Hold rows out for evaluation, so that no question stands on both sides."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def hold_out(
    questions: NDArray[np.uint64], *, fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """Return (training rows, evaluation rows), each in the order of the file.

    Rows with the same question (case and spacing aside) stay together.  Whole questions are
    drawn in the order of a hash of seed and question, so the split does not depend on the
    order of the file, until `fraction` of the rows is reached; at least one question is left
    for training.

    Args:
        questions: the digest of each row's question, uint64 [N].
        fraction: the share of rows to hold out.
        seed: draws other questions.
    """
    wanted = round(len(questions) * fraction)
    different, group, sizes = np.unique(questions, return_inverse=True, return_counts=True)
    if not wanted or len(different) == 1:
        return np.arange(len(questions)), np.empty(0, dtype=np.int64)
    ranks = np.array([_rank(int(question), seed) for question in different], dtype=np.uint64)
    order = np.argsort(ranks, kind="stable")[:-1]
    drawn = order[: np.searchsorted(np.cumsum(sizes[order]), wanted) + 1]
    held = np.zeros(len(different), dtype=bool)
    held[drawn] = True
    mask = held[group]
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _rank(question: int, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}\n{question}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
