"""What the audit keeps of a row: where it stands and what it is equal to; nothing of its text.

A piece of a file becomes facts in whatever process; R rows.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from medlora.config import ColumnsConfig
from medlora.data.audit.minhash import PLACES, Sketches, sketch
from medlora.data.audit.overlap import Hits, Prompts
from medlora.data.audit.word_hashes import words_of
from medlora.data.conversation_record import Record
from medlora.data.folding import digest64
from medlora.data.forms.read import Records, read_records
from medlora.data.jsonl import Piece
from medlora.data.parallel_pieces import from_request
from medlora.data.piece_encoder import KEYS
from medlora.data.problems import Problem

# Line and place in the file, digests of the exact texts, of the folded ones, and of the folded
# whole; then the row of the whole audit that stands for all that are nearly the same, plus 1.
EXACT = ("exact_question", "exact_answer", "exact_row")
_DIGESTS = (*EXACT, *KEYS, "folded_answer", "text", "near_duplicate")
FACT = np.dtype([("line", "<i8"), ("offset", "<i8"), *((name, "<u8") for name in _DIGESTS)])
Facts = NDArray[np.void]


@dataclass(slots=True)
class FactPart:
    """The rows of a piece."""

    rows: Facts  # FACT [R]
    sketches: Sketches  # [R, PLACES]
    hits: Hits
    forms: Counter[str]
    problems: list[Problem]
    notices: dict[str, list[int]]


def from_reply(parts: Sequence[bytes]) -> FactPart:
    """Return what `FactMaker` sent."""
    summary = json.loads(parts[0])
    return FactPart(
        np.frombuffer(parts[1], FACT),
        np.frombuffer(parts[2], np.uint16).reshape(-1, PLACES),
        np.frombuffer(parts[3], np.int64).reshape(-1, 3),
        Counter(summary["forms"]),
        [Problem(*values) for values in summary["problems"]],
        summary["notices"],
    )


@dataclass(frozen=True, slots=True)
class FactMaker:
    """Turns requests into replies, in whatever process."""

    form: str
    columns: ColumnsConfig
    group_by: str | None
    prompts: Prompts

    def __call__(self, request: bytes) -> list[bytes]:
        """Return the parts of a reply."""
        piece, wanted = from_request(request)
        records = self.records(piece)
        rows = records.rows if wanted else []
        summary = {
            "forms": records.forms,
            "problems": [astuple(problem) for problem in records.problems],
            "notices": records.notices,
        }
        return [json.dumps(summary).encode(), *self._facts(piece, rows)]

    def records(self, piece: Piece) -> Records:
        """Return the conversations of a piece."""
        return read_records(piece, form=self.form, columns=self.columns, group_by=self.group_by)

    def _facts(self, piece: Piece, records: Sequence[Record]) -> list[bytes]:
        if not records:
            return [b"", b"", b""]
        lines = accumulate(map(len, piece.content.split(b"\n")), lambda a, b: a + b + 1, initial=0)
        begins = [piece.offset + begin for begin in lines]
        folds = [record.fold() for record in records]
        rows = np.array(
            [
                (
                    record.line,
                    begins[record.line - piece.line],
                    *_exact(record),
                    *fold.keys,
                    digest64(fold.answer),
                    digest64(fold.text),
                    0,
                )
                for record, fold in zip(records, folds, strict=True)
            ],
            FACT,
        )
        words = words_of([fold.text for fold in folds])
        hits = self.prompts.hits(rows["question"].tolist(), words)
        return [rows.tobytes(), sketch(words).tobytes(), hits.tobytes()]


def _exact(record: Record) -> tuple[int, int, int]:
    whole = "\0".join(f"{m.role}\0{m.learn}\0{m.content}" for m in record.messages)
    return digest64(record.question), digest64(record.answer), digest64(whole)
