"""A piece of a data file as a block of tokens: parsed, rendered, encoded, all of it elsewhere.

A block travels between processes and onto the disk as plain arrays: R rows, T tokens in all of
them, L runs of tokens that carry loss.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from medlora.config import ColumnsConfig
from medlora.data.chat.chat import Chat, Tokens
from medlora.data.conversation_record import Record
from medlora.data.forms.read import read_records
from medlora.data.jsonl import Piece
from medlora.data.parallel_pieces import from_request
from medlora.data.problems import Problem

# What rows must not share across a split; 0 is nothing.
KEYS = ("question", "answer", "group")
# One row: how many tokens and runs it has, the line it stands on, its keys.
ROW = np.dtype(
    [("tokens", "<i8"), ("runs", "<i8"), ("line", "<i8"), *((name, "<u8") for name in KEYS)]
)
RUN = np.dtype("<i4")  # first token with loss and first without, counted from the row's first


@dataclass(slots=True)
class Block:
    """The examples of a piece's rows; a row that is taught turn by turn has several."""

    rows: NDArray[np.void]  # ROW [R]
    ids: NDArray[np.unsignedinteger]  # [T]
    runs: NDArray[np.int32]  # RUN [L, 2]
    forms: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)  # what was done to rows, and how often


def id_type(tokenizer: PreTrainedTokenizerBase) -> np.dtype[np.unsignedinteger]:
    """Return the smallest type that holds every id; a vocabulary may have holes."""
    largest = max(tokenizer.get_vocab().values(), default=0)
    return np.dtype("<u2") if largest < 1 << 16 else np.dtype("<u4")


def from_reply(parts: Sequence[bytes], ids: np.dtype[np.unsignedinteger]) -> Block:
    """Return the block that `BlockMaker` sent."""
    summary = json.loads(parts[0])
    return Block(
        np.frombuffer(parts[1], ROW),
        np.frombuffer(parts[2], ids),
        np.frombuffer(parts[3], RUN).reshape(-1, 2),
        Counter(summary["forms"]),
        [Problem(*values) for values in summary["problems"]],
        Counter(summary["changes"]),
    )


@dataclass(frozen=True, slots=True)
class BlockMaker:
    """Turns requests into replies, in whatever process."""

    chat: Chat
    ids: np.dtype[np.unsignedinteger]
    form: str
    columns: ColumnsConfig
    group_by: str | None = None

    def __call__(self, request: bytes) -> list[bytes]:
        """Return the parts of a reply."""
        piece, encode = from_request(request)
        block = self._block(piece, encode=encode)
        problems = [astuple(problem) for problem in block.problems]
        summary = json.dumps({"forms": block.forms, "problems": problems, "changes": block.changes})
        return [summary.encode(), block.rows.tobytes(), block.ids.tobytes(), block.runs.tobytes()]

    def _block(self, piece: Piece, *, encode: bool) -> Block:
        records = read_records(piece, form=self.form, columns=self.columns, group_by=self.group_by)
        self.chat.counts.clear()
        items = list(self.chat.tokenize(records.rows, encode=encode))
        tokens = [example for item in items if not isinstance(item, Problem) for example in item]
        problems = [item for item in items if isinstance(item, Problem)]
        block = _joined(tokens, records.rows, self.ids)
        block.forms, block.changes = records.forms, +self.chat.counts
        block.problems = [*records.problems, *problems]
        return block


def _joined(
    tokens: Sequence[Tokens], records: Sequence[Record], ids: np.dtype[np.unsignedinteger]
) -> Block:
    keys = {record.line: record.fold().keys for record in records}
    runs = [_runs(example.learn) for example in tokens]
    rows = [
        (len(example.ids), len(learnt_runs), example.line, *keys[example.line])
        for example, learnt_runs in zip(tokens, runs, strict=True)
    ]
    return Block(
        np.array(rows, ROW),
        np.concatenate([np.empty(0, ids), *(example.ids.astype(ids) for example in tokens)]),
        np.concatenate([np.empty((0, 2), RUN), *runs]),
    )


def _runs(learn: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the runs of a mask: int32 [L, 2], first token in and first token out."""
    padded = np.zeros(len(learn) + 2, dtype=bool)
    padded[1:-1] = learn
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2).astype(RUN)


def joined(tokens: Sequence[Tokens]) -> Block:
    """Return conversations that are in memory already as a block, their questions unknown."""
    records = [Record(example.line, ()) for example in tokens]
    return _joined(tokens, records, np.dtype("<u4"))
