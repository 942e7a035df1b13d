"""`medlora audit-memory plant`: a copy of the data with canaries in it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from medlora.config import DataConfig, RunConfig
from medlora.data.canaries import (
    CANARIES,
    SENTENCE,
    Canary,
    choose_rows,
    rows_for,
    secret,
    with_canary,
)
from medlora.data.conversation_record import Record
from medlora.data.data_files import locate
from medlora.data.formats.joined_files import Source
from medlora.data.forms.read import read_records
from medlora.data.jsonl import Piece, rows_in
from medlora.data.piece_encoder import KEYS
from medlora.data.problems import Problem, Problems
from medlora.errors import ConfigError, DataError
from medlora.files import NewFolder, json_bytes, new_folder
from medlora.inputs.prepare import hold_out_rows
from medlora.logs import show
from medlora.plan.resolve_run import Plan

SCHEMA = 1
_PIECE_BYTES = 1 << 20
_MOST = 8  # canaries of every number of copies, where nobody says how many


def run(plan: Plan, out: Path, *, copies: Sequence[int], each: int | None, seed: int) -> None:
    """Write the data with canaries into a new folder; the data itself is only read.

    Rows that training would hold out stand in a file of their own there, so that every canary
    is trained on.

    Args:
        plan: says which data, and what its columns are called.
        out: the new folder.
        copies: in how many rows a canary stands; 0 is a control.
        each: canaries of every number of copies; as many as there is room for where None.
        seed: draws the rows, and the canaries' digits.

    Raises:
        ConfigError: the folder exists.
        DataError: a row is unusable, or there are too few.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already", fix="name a new folder")
    cfg = plan.resolved.config
    files = locate(cfg.data, mount=plan.mount("data"))
    records = _survey(files.train, cfg.data)
    held: set[int] = set()
    if files.evaluation is None:
        held = _held_out(records, cfg)
    trained = [record for record in records if record[0] not in held]
    candidates = _short(trained)
    each = each or _room(len(candidates), copies)
    canaries = choose_rows(candidates, copies=copies, each=each, seed=seed)
    secrets = {line: secret(seed, canary.number) for canary in canaries for line in canary.planted}
    with new_folder(out) as folder:
        places = _write_split(folder, files.train, cfg.data, secrets=secrets, held=held)
        if files.evaluation:
            for _, raw in _lines(files.evaluation):
                folder.append("eval.jsonl", raw + b"\n")
        digests = folder.sync()
        folder.append(CANARIES, json_bytes(_stated(canaries, places, digests, seed=seed)))
    rows = len(secrets)
    show(
        f"{len(canaries)} canaries planted in {rows} of {len(trained)} training rows "
        f"({each} canaries for each number of copies): {out}"
    )
    show(
        f"train on it (--data {out} --set data.privacy=warn: a canary looks like an identifier), "
        "then: medlora audit-memory measure RUN"
    )


_Surveyed = tuple[int, tuple[int, int, int], int]  # line, keys as in `KEYS`, characters


def _survey(file: Source, cfg: DataConfig) -> list[_Surveyed]:
    """Return what is known of each row, after checking all of them."""
    problems, rows = Problems(file), []
    for piece in file.read(_PIECE_BYTES, lambda problem: problems.add([problem])):
        records = read_records(piece, form=cfg.format, columns=cfg.columns, group_by=cfg.group_by)
        problems.add(records.problems)
        rows += [(row.line, row.fold().keys, _length(row)) for row in records.rows]
    problems.refuse()
    if not rows:
        raise DataError(f"{file} has no rows", fix="write at least one")
    return rows


def _length(record: Record) -> int:
    return sum(len(message.content) for message in record.messages)


def _held_out(records: list[_Surveyed], cfg: RunConfig) -> set[int]:
    rows = np.array([keys for _, keys, _ in records], [(name, "<u8") for name in KEYS])
    split = hold_out_rows(rows, cfg, near=None)
    return {records[index][0] for index in split.held.tolist()}


def _short(records: list[_Surveyed]) -> list[int]:
    """Return the lines of the shorter half: there, a limit in tokens cuts no canary off."""
    by_length = sorted(records, key=lambda record: (record[2], record[0]))
    return [record[0] for record in by_length[: -(-len(by_length) // 2)]]


def _room(candidates: int, copies: Sequence[int]) -> int:
    """Return how many canaries of every number of copies there are rows for, 1 at least."""
    return max(1, min(_MOST, candidates // rows_for(copies, each=1)))


def _write_split(
    folder: NewFolder, file: Source, cfg: DataConfig, *, secrets: dict[int, str], held: set[int]
) -> dict[int, int]:
    """Write the copy; return {line of the original: line of the copy's training file}."""
    places: dict[int, int] = {}
    for number, raw in _lines(file):
        if number in held:
            folder.append("eval.jsonl", raw + b"\n")
            continue
        places[number] = len(places) + 1
        changed = _planted(number, raw, secrets[number], cfg) if number in secrets else raw
        folder.append("train.jsonl", changed + b"\n")
    return places


def _lines(file: Source) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, bytes) of each line that is not blank."""
    for piece in file.read(_PIECE_BYTES, lambda _: None):
        for number, raw in enumerate(piece.content.split(b"\n"), start=piece.line):
            if raw.strip():
                yield number, raw


def _planted(number: int, raw: bytes, digits: str, cfg: DataConfig) -> bytes:
    (item,) = rows_in(Piece(number, raw))
    if isinstance(item, Problem):  # it was none when the file was surveyed
        raise DataError(
            "the file changed while it was read", fix="run it again once nobody changes the file"
        )
    return with_canary(item[1], digits, cfg, line=number)


def _stated(
    canaries: list[Canary], places: dict[int, int], digests: dict[str, str], *, seed: int
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "seed": seed,
        "sentence": SENTENCE,
        "train_sha256": digests["train.jsonl"],
        "canaries": [
            {
                "id": canary.name,
                "number": canary.number,
                "copies": canary.copies,
                "lines": [places[line] for line in canary.lines],
            }
            for canary in canaries
        ],
    }
