"""Whatever a file holds, reading it ends before memory does: with the place, and the limit."""

import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlora.config import ColumnsConfig
from medlora.data import size_limits
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.formats.array import array_items
from medlora.data.formats.joined_files import Source
from medlora.data.formats.table import table_rows
from medlora.data.formats.text import text_rows
from medlora.data.jsonl import read_pieces
from medlora.data.problems import Problem, StopReadingError
from medlora.data.prompt_file import read_prompts
from medlora.data.size_limits import LONGEST, LONGEST_ROW, lines_of
from medlora.errors import DataError
from medlora.evaluate.suite_files import read_suite

MAKER = FactMaker("auto", ColumnsConfig(), None, Prompts())
SHEET = b"question,answer\na,b\n"


class Endless(io.RawIOBase):
    """A file that begins like one and never ends."""

    def __init__(self, begin: bytes, more: bytes) -> None:
        self.begin, self.more, self.given = begin, more * ((1 << 20) // len(more) + 1), 0

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer) -> int:
        """Fill a buffer."""
        content = (self.begin or self.more)[: len(buffer)]
        self.begin = self.begin[len(content) :]
        buffer[: len(content)] = content
        self.given += len(content)
        return len(content)


def table(stream: io.BufferedReader) -> Iterator[object]:
    """The rows of a table; some problems end one without an exception."""
    problems = []
    yield from table_rows(stream, problems.append, columns=ColumnsConfig())
    raise StopReadingError(problems[0])


_LONG = b"1" * 500
READERS: dict[str, tuple[Callable[[io.BufferedReader], Iterator[object]], bytes, bytes, str]] = {
    "line": (lines_of, b"a\n", b"x", "2: more than 16,777,216 bytes"),
    "piece": (lambda s: read_pieces(s, 1 << 10), b'{"a": "b"}\n', b"x", "2: more than 16,777,216"),
    "item": (lambda s: array_items(s, print), b'[{"a": "b"}, "', b"x", "2: more than 16,777,216"),
    "items": (
        lambda s: array_items(s, print),
        b"[1, 2, [",
        _LONG + b"3, ",
        "3: more than 16,777,216",
    ),
    "cell": (
        table,
        SHEET + b'"',
        _LONG + b"\n",
        "3: a cell that begins here has more than 16,777,216 ch",
    ),
    "quoted line": (table, SHEET + b'"', b"x", "3: more than 16,777,216 bytes"),
    "row": (
        table,
        SHEET + b'"',
        _LONG + b'\n","',
        "3: the row that begins here has more than 33,554,432",
    ),
    "text": (
        lambda s: text_rows(s, print, most=50, column="text"),
        b"a\n\n",
        b"x",
        "3: more than 16,777,216",
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_read_without_end(name: str) -> None:
    """Not much more than the limit is ever held."""
    reader, begin, more, says = READERS[name]
    endless = Endless(begin, more)
    with pytest.raises(StopReadingError) as error:
        for _ in reader(io.BufferedReader(endless, 1 << 20)):
            pass
    problem = error.value.problem
    assert f"{problem.line}: {problem.fault}".startswith(says)
    assert endless.given < 3 * LONGEST_ROW
    assert "never closed" not in f"{problem.fault}{problem.fix}"


def refused(file: Path) -> str:
    """What is said of a file, read as before every training, in little memory."""
    source = Source((file,), form="auto")
    with pytest.raises(DataError) as error:
        read_facts(DataFile(source, source.sha256()), MAKER, workers=0)
    return str(error.value)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_bomb_is_refused_while_it_is_small(tmp_path: Path, name: str) -> None:
    """200 MB of one letter, in a quoted cell or a line, are 0.2 MB on the disk."""
    begin = SHEET + b'"' if "csv" in name else b'{"question": "'
    content = begin + b"x" * 200_000_000
    packed = pa.compress(content, "zstd", asbytes=True)
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith("gz") else packed)
    del content, packed
    tracemalloc.start()
    try:
        message = refused(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"{name}:{3 if 'csv' in name else 1}: more than 16,777,216 bytes" in message
    assert peak < 6 * LONGEST


def test_an_archive_may_hold_so_many_times_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short its lines; what is said again and again in good data is far below that."""
    monkeypatch.setattr(size_limits, "EXPANDS_TO", 1 << 16)
    row = b'{"question": "a", "answer": "b"}\n'
    for name, pack in (
        ("a.jsonl.gz", gzip.compress),
        ("a.jsonl.zst", lambda content: pa.compress(content, "zstd", asbytes=True)),
    ):
        file = tmp_path / name
        file.write_bytes(pack(row * 1900))
        source = Source((file,))
        assert len(read_facts(DataFile(source, source.sha256()), MAKER, workers=0).rows) == 1900
        monkeypatch.setattr(size_limits, "EXPANDS_BY", 2)
        file.write_bytes(pack(row * 8000))
        message = refused(file)
        assert f"{name}: the archive expands to more than 65,536 bytes" in message
        monkeypatch.undo()
        monkeypatch.setattr(size_limits, "EXPANDS_TO", 1 << 16)


def test_a_parquet_file_may_hold_so_many_times_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that stands once in the file and in each of its rows; a row that is too long."""
    monkeypatch.setattr(size_limits, "EXPANDS_TO", 100 << 20)
    file = tmp_path / "a.parquet"
    text = pa.array(["x" * 1_000_000]).dictionary_encode()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 110, pa.int32()), text.dictionary)
    pq.write_table(pa.table({"question": column, "answer": ["b"] * 110}), file)
    assert file.stat().st_size < 200_000
    source = Source((file,), form="auto")
    problems: list[Problem] = []
    rows = sum(1 for _ in source.read(1, problems.append))
    assert 100 < rows < 110
    assert "the archive expands to more than 104,857,600 bytes" in problems[0].fault
    pq.write_table(pa.table({"question": ["a", "x" * (LONGEST + 1)], "answer": ["b", "c"]}), file)
    assert "a.parquet: row 2: more than 16,777,216 bytes" in refused(file)


def test_a_long_paragraph_is_read_in_parts(tmp_path: Path) -> None:
    """A text without an empty line is as long as it likes; no part is lost."""
    words = [f"word{n}" for n in range(60_000)]
    lines = (f"{word}\n" if n % 9 else f"{word}. " for n, word in enumerate(words))
    stream = io.BytesIO("".join(lines).encode())
    rows = [row for _, row in text_rows(stream, print, most=300, column="text")]
    assert len(rows) > 1000
    said = b" ".join(rows).decode().replace("\\n", " ").replace('"', " ").replace(".", " ")
    assert [word for word in said.split() if word.startswith("word")] == words


def test_prompts_and_suites_are_no_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    """A file of a gigabyte, which takes no room on the disk, is refused by its size."""
    file = tmp_path / "a.jsonl"
    with file.open("wb") as stream:
        stream.truncate(1 << 30)
    for reader in (read_prompts, read_suite):
        with pytest.raises(
            DataError, match=r"a.jsonl: 1,073,741,824 bytes; the limit is 134,217,728"
        ):
            reader(file)
