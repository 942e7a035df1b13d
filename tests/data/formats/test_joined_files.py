"""The same rows come out of every format, each with the place where a person finds it."""

import csv
import gzip
import hashlib
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlora.config import ColumnsConfig
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.conversation_record import Record
from medlora.data.formats import pyarrow_import
from medlora.data.formats.joined_files import Source
from medlora.data.forms.read import read_records
from medlora.data.problems import Problems
from medlora.errors import DataError, MissingPartError, StorageError
from medlora.files import sha256_file

ROWS = [
    {"prompt": "Chest pain, now?", "response": 'Call "112".\nDo not drive.'},
    {"prompt": "Fièvre 39,5 °C; que faire?", "response": "Voir un médecin.\r\nAujourd'hui."},
    {"prompt": "A\ttab\u2028and more", "response": "  spaces stay  "},
]


def as_csv(delimiter: str = ",", begin: bytes = b"") -> bytes:
    """The rows as a table."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["prompt", "response"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return begin + out.getvalue().encode()


def as_parquet() -> bytes:
    """The rows as a Parquet file of two row groups."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out, row_group_size=2)
    return out.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
BOM = b"\xef\xbb\xbf"
FORMATS = {
    "a.jsonl": (LINES, [1, 2, 3]),
    "bom.jsonl": (BOM + LINES, [1, 2, 3]),
    "a.ndjson": (LINES.replace(b"\n", b"\r\n\n"), [1, 3, 5]),
    "a.jsonl.gz": (gzip.compress(LINES), [1, 2, 3]),
    "parts.jsonl.gz": (gzip.compress(LINES[:40]) + gzip.compress(LINES[40:]), [1, 2, 3]),
    "a.jsonl.zst": (pa.compress(LINES, "zstd", asbytes=True), [1, 2, 3]),
    "parts.jsonl.zst": (
        b"".join(pa.compress(part, "zstd", asbytes=True) for part in (LINES[:40], LINES[40:])),
        [1, 2, 3],
    ),
    "lines.json": (LINES, [1, 2, 3]),
    "a.json": (json.dumps(ROWS).encode(), [1, 2, 3]),
    "pretty.json": (BOM + json.dumps(ROWS, indent=2).encode(), [1, 2, 3]),
    "a.json.gz": (gzip.compress(json.dumps(ROWS).encode()), [1, 2, 3]),
    "a.csv": (as_csv(), [2, 4, 6]),
    "bom.csv": (as_csv(begin=BOM), [2, 4, 6]),
    "semicolons.csv": (as_csv(";"), [2, 4, 6]),
    "stated.csv": (as_csv(";", b"sep=;\r\n"), [3, 5, 7]),
    "tabs.csv": (as_csv("\t"), [2, 4, 6]),
    "A.CSV.GZ": (gzip.compress(as_csv()), [2, 4, 6]),
    "a.csv.zst": (pa.compress(as_csv(), "zstd", asbytes=True), [2, 4, 6]),
    "a.tsv": (as_csv("\t"), [2, 4, 6]),
    "a.parquet": (as_parquet(), [1, 2, 3]),
}


def records(source: Source, size: int = 1 << 20, **columns: str) -> list[Record]:
    """All rows of a source, which has to be in order."""
    problems, found = [], []
    reading = source.read(size, problems.append)
    for piece in reading:
        part = read_records(piece, form="auto", columns=ColumnsConfig(**columns))
        problems += part.problems
        found += part.rows
    assert not problems
    assert reading.sha256 == source.sha256()
    return found


def texts(rows: list[Record]) -> list[dict[str, str]]:
    """What rows say."""
    return [{"prompt": row.question, "response": row.answer} for row in rows]


@pytest.mark.parametrize("size", [1, 70, 1 << 20])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, size: int) -> None:
    """Wherever pieces end; the digest is the file's own."""
    content, lines = FORMATS[name]
    (tmp_path / name).write_bytes(content)
    source = Source.of(tmp_path / name)
    rows = records(source, size)
    assert texts(rows) == ROWS
    assert [row.line for row in rows] == lines
    assert source.sha256() == hashlib.sha256(content).hexdigest()


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    """In their order; each row says which file it stands in; the digest is that of all."""
    names = ["a.csv", "a.json", "bom.jsonl", "a.parquet"]
    for name in names:
        (tmp_path / name).write_bytes(FORMATS[name][0])
    source = Source.of(*(tmp_path / name for name in names))
    rows = records(source, size=50)
    assert texts(rows) == ROWS * 4
    assert [source.short_place(row.line) for row in rows] == [
        *("a.csv:2", "a.csv:4", "a.csv:6", "a.json: row 1", "a.json: row 2", "a.json: row 3"),
        *("bom.jsonl:1", "bom.jsonl:2", "bom.jsonl:3"),
        *("a.parquet: row 1", "a.parquet: row 2", "a.parquet: row 3"),
    ]
    assert len({row.line for row in rows}) == 12
    assert source.place(rows[3].line) == f"{tmp_path}/a.json: row 1"
    assert source.name == "a.csv and 3 more"
    assert source.sha256() != Source.of(*source.paths[::-1]).sha256()
    assert source.sha256() != sha256_file(source.paths[0])


def test_a_table_is_read_alike_by_any_number_of_processes(tmp_path: Path) -> None:
    """Several of them, forked again where Arrow has threads of its own by then."""
    rows = [
        {"prompt": f"question {n}", "response": "an answer " * (n % 50 + 1)} for n in range(9000)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", compression="none")
    source = Source.of(tmp_path / "a.parquet")
    data = DataFile(source, source.sha256())
    maker = FactMaker("auto", ColumnsConfig(), None, Prompts())
    one, *more = (read_facts(data, maker, workers=count).rows for count in (0, 2, 2))
    assert len(one) == 9000
    assert all(np.array_equal(one, other) for other in more)


@pytest.mark.parametrize("name", FORMATS)
def test_any_row_can_be_read_again(tmp_path: Path, name: str) -> None:
    """By its number, and its offset where it has one; also in the second of two files."""
    for file in ("first.csv", name):
        (tmp_path / file).write_bytes(FORMATS["a.csv" if file == "first.csv" else name][0])
    source = Source.of(tmp_path / "first.csv", tmp_path / name)
    rows, offsets = records(source), {}
    for piece in source.read(1 << 20, print):
        at = piece.offset
        for number, line in enumerate(piece.content.split(b"\n"), start=piece.line):
            offsets[number] = at
            at += len(line) + 1
    chosen = [rows[1], rows[3], rows[5]]
    pieces = source.at((row.line, offsets[row.line]) for row in chosen)
    again = [read_records(p, form="auto", columns=ColumnsConfig()).rows[0] for p in pieces]
    assert again == chosen


def test_columns_of_a_table_may_be_of_any_type(tmp_path: Path) -> None:
    """What a form needs is text; the rest is told as text, or not at all."""
    row = {
        "prompt": b"as bytes",
        "response": "text",
        "when": date(2026, 1, 31),
        "dose": Decimal("0.50"),
        "weight": float("nan"),
        "image": b"\xff\x00",
        "nested": [{"at": date(2026, 2, 1)}],
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    source = Source.of(tmp_path / "a.parquet")
    (piece,) = source.read(1 << 20, print)
    assert json.loads(piece.content) == {
        **row,
        "prompt": "as bytes",
        "when": "2026-01-31",
        "dose": "0.50",
        "weight": None,
        "image": None,
        "nested": [{"at": "2026-02-01"}],
    }
    assert texts(records(source)) == [{"prompt": "as bytes", "response": "text"}]


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    """As a data frame's row numbers; names lose the space around them; empty rows are none."""
    (tmp_path / "a.csv").write_text(",prompt, response,\n0,a,b,\n, ,,\n1,c,d,\n\n,,,,\n")
    rows = records(Source.of(tmp_path / "a.csv"))
    assert texts(rows) == [{"prompt": "a", "response": "b"}, {"prompt": "c", "response": "d"}]
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_tables_columns_may_begin_with_capitals(tmp_path: Path, name: str) -> None:
    """Where a name is looked for in small letters; one that the config states stays as it is."""
    row = {"Question": "a", "ANSWER": "b", "Id": "c"}
    if name == "a.csv":
        (tmp_path / name).write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    else:
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    assert texts(records(Source.of(tmp_path / name))) == [{"prompt": "a", "response": "b"}]
    columns = ColumnsConfig(prompt="Question", response="ANSWER")
    source = Source((tmp_path / name,), columns=columns)
    named = texts(records(source, **columns.model_dump()))
    assert named == [{"prompt": "a", "response": "b"}]


def test_a_wrong_column_is_one_line(tmp_path: Path) -> None:
    """Not one for each row of the table."""
    (tmp_path / "a.csv").write_text("frage,antwort\n" + "a,b\n" * 50)
    problems = Problems(Source.of(tmp_path / "a.csv"))
    for piece in Source.of(tmp_path / "a.csv").read(99, print):
        problems.add(read_records(piece, form="auto", columns=ColumnsConfig()).problems)
    with pytest.raises(DataError, match=r"50 problems\n.*a.csv:2: .*\n  ... and 49 more\n  fix"):
        problems.refuse()


def test_text_becomes_rows_of_whole_paragraphs(tmp_path: Path) -> None:
    """As many as fit; a long one is cut at a line, a sentence, a word; no word is lost."""
    paragraphs = [
        *("Short one.", "Short two.", "A line of words\n" * 5),
        "One sentence stands here. " * 4 + "unbroken" * 12,
    ]
    text = "\r\n\r\n \r\n".join(paragraphs)
    (tmp_path / "a.txt").write_text(text, newline="")
    rows = records(Source((tmp_path / "a.txt",), characters=60))
    assert rows[0].answer == "Short one.\n\nShort two."
    assert rows[1].answer == "A line of words\n" * 2 + "A line of words"
    assert all(len(row.answer) <= 60 for row in rows)
    assert [row.line for row in rows] == list(range(1, len(rows) + 1))
    assert "".join("".join(row.answer.split()) for row in rows) == "".join(text.split())
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": "Short one."}))
    assert records(Source.of(tmp_path / "a.jsonl"), text="body")[0].answer == "Short one."


def test_without_pyarrow_the_other_formats_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parquet and zstd say what is missing."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(pyarrow_import, "import_module", missing)
    for name in ("a.csv.gz", "a.parquet", "a.csv.zst"):
        (tmp_path / name).write_bytes(gzip.compress(as_csv()))
    assert texts(records(Source.of(tmp_path / "a.csv.gz"))) == ROWS
    for name in ("a.parquet", "a.csv.zst"):
        with pytest.raises(MissingPartError, match=r"install medlora\[formats\]"):
            records(Source.of(tmp_path / name))


def test_a_file_that_is_gone_since_is_told(tmp_path: Path) -> None:
    """Its size is asked for after it was found, and again before each pass."""
    file = tmp_path / "train.jsonl"
    file.write_text("{}\n")
    source = Source.of(file)
    assert source.size == 3
    file.unlink()
    with pytest.raises(StorageError, match=r"train\.jsonl: No such file"):
        _ = source.size
