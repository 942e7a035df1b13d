"""Text of other encodings: told once with the one that fits, and read by it."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from medlora.config import ColumnsConfig, DataConfig
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.data_files import locate
from medlora.data.formats.joined_files import Source
from medlora.data.forms.read import read_records
from medlora.data.privacy.files import scan_file
from medlora.errors import DataError

ROWS = [
    {"prompt": f"Wie groß sind {n} Äpfel?", "response": f"Fünfzehn, sagt «Müller» {n}."}
    for n in range(60)
]
TABLE = "prompt,response\n" + "".join(f'{r["prompt"]},"{r["response"]}"\n' for r in ROWS)
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
LIST = json.dumps(ROWS, ensure_ascii=False, indent=1)
TEXTS = {"a.csv": TABLE, "a.jsonl": LINES, "a.json": LIST, "a.jsonl.gz": LINES}
MAKER = FactMaker("auto", ColumnsConfig(), None, Prompts())
ENCODINGS = ("windows-1252", "utf-16", "utf-16-le", "utf-16-be", "macintosh", "gb18030")


def write(tmp_path: Path, name: str, encoding: str) -> Path:
    """A file of the rows."""
    content = TEXTS[name].encode("mac-roman" if encoding == "macintosh" else encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return tmp_path / name


def said(source: Source) -> str:
    """What is wrong with a file."""
    with pytest.raises(DataError) as error:
        read_facts(DataFile(source, source.sha256()), MAKER, workers=0)
    return str(error.value)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", TEXTS)
def test_the_rows_are_the_same_in_every_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    """From the first to the last, and again one by one; the digest is that of the bytes."""
    file = write(tmp_path, name, encoding)
    source = locate(DataConfig(path=str(file), encoding=encoding)).train
    problems = []
    reading = source.read(300, problems.append)
    records = [
        one
        for piece in reading
        for one in read_records(piece, form="auto", columns=ColumnsConfig()).rows
    ]
    assert [(one.question, one.answer) for one in records] == [tuple(r.values()) for r in ROWS]
    assert not problems
    assert reading.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    again = list(source.at((one.line, 0) for one in records[30:32]))
    assert [
        read_records(piece, form="auto", columns=ColumnsConfig()).rows[0] for piece in again
    ] == records[30:32]


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_not_utf_8_is_told_once_with_what_fits(tmp_path: Path, name: str) -> None:
    """Not once for each of its lines."""
    message = said(Source.of(write(tmp_path, name, "windows-1252")))
    assert ": 1 problem\n" in message
    assert "Windows-1252 fits: set data.encoding=windows-1252" in message
    lines = TEXTS[name].encode("windows-1252").split(b"\n")
    number, byte = next((n, one.find(b"\xdf")) for n, one in enumerate(lines, 1) if b"\xdf" in one)
    place = f":{number}: byte {byte + 1} of the line"
    place = f": byte {byte + 1} of line {number}" if name == "a.json" else place
    assert f"{name}{place} is not UTF-8" in message
    for encoding in ENCODINGS[1:4]:
        message = said(Source.of(write(tmp_path, name, encoding)))
        assert ": 1 problem\n" in message
        assert f"UTF-16 text; set data.encoding={encoding}, or save it as UTF-8" in message


def test_a_byte_that_fits_nowhere_is_no_guess(tmp_path: Path) -> None:
    """And a slip in a file of UTF-8 stays what it is: each line is told."""
    (tmp_path / "a.csv").write_bytes(b"prompt,response\na,\x81\x8d\n")
    assert "save the file as UTF-8, or name its encoding" in said(Source.of(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_bytes(TABLE.encode() + b"a,\xe4\nb,\xe4\n")
    message = said(Source.of(tmp_path / "a.csv"))
    assert ": 2 problems\n" in message
    assert "a.csv:62: byte 3 of the line is not UTF-8; save the file as UTF-8\n" in message


def test_a_wrong_encoding_is_told(tmp_path: Path) -> None:
    """A byte that it has no letter for, with its line; UTF-8 that would become two letters each."""
    file = tmp_path / "a.csv"
    file.write_bytes(b"prompt,response\na,b\nc,\x81\n")
    source = Source((file,), encoding="windows-1252")
    assert "a.csv:3: byte 0x81 is not a character in windows-1252" in said(source)
    file.write_bytes(TABLE.encode())
    assert "the file is UTF-8, and data.encoding says windows-1252; unset" in said(source)
    file.write_bytes(b"prompt,response\nplain,ascii\n")
    assert len(read_facts(DataFile(source, source.sha256()), MAKER, workers=0).rows) == 1


def test_utf_16_without_its_mark_is_told(tmp_path: Path) -> None:
    """What says which of two it is does not stand at the file's beginning."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"prompt": "pain", "response": "rest"}\n')
    message = said(Source((file,), encoding="utf-16"))
    assert "the file is not utf-16: it does not begin with a byte order mark" in message


def test_the_encoding_decides_the_rows_and_so_the_caches(tmp_path: Path) -> None:
    """It is part of what a manifest, the tokens' key and the scan's key say of a file."""
    file = write(tmp_path, "a.jsonl", "windows-1252")
    assert Source.of(file).read_as == ["jsonl"]
    source = Source((file,), encoding="windows-1252")
    assert source.read_as == ["jsonl windows-1252"]
    assert source.sha256() == Source.of(file).sha256()
    assert sum(part.rows for part in scan_file(source, ColumnsConfig())) == 60


def test_what_lies_on_both_sides_of_a_chunk_is_told_and_read_right(tmp_path: Path) -> None:
    """A mebibyte is looked at in one go; lines and letters end where they like."""
    file, row = tmp_path / "a.csv", b"prompt of a row,and its response\n"
    before = b"prompt,response\n" + row * ((1 << 20) // len(row) - 1)
    filler = b"a" * ((1 << 20) - len(before) - 1)
    head = before + filler
    file.write_bytes(head + "é,b\n".encode())
    count = head.count(b"\n")
    source = Source.of(file)
    assert sum(piece.content.count(b"\n") for piece in source.read(1 << 18, print)) == count + 1
    file.write_bytes(head + b"ab\xe9,b\n")
    place = f"a.csv:{count + 1}: byte {len(filler) + 3} of the line is not UTF-8; Windows-1252"
    assert place in said(source)
    file.write_bytes(head + b"\xe9a,b\n")
    assert f"a.csv:{count + 1}: byte {len(filler) + 1} of the line" in said(source)
