"""A file's tokens are the same however the work is spread, and a bad file is refused as a whole."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medlora.config import ColumnsConfig
from medlora.data import encoded_stream, parallel_pieces
from medlora.data.chat.chat import Chat
from medlora.data.formats.joined_files import Source
from medlora.data.piece_encoder import Block, BlockMaker, id_type
from medlora.errors import DataError, StorageError
from medlora.files import sha256_file


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some ten rows each, so that a small file has many."""
    monkeypatch.setattr(parallel_pieces, "PIECE_BYTES", 600)


def write(path: Path, rows: list[object]) -> Path:
    """A JSON Lines file."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def good(count: int) -> list[object]:
    """Rows of two forms, of growing length."""
    rows: list[object] = [
        {"prompt": f"pain {n}", "response": "call for help " * (n % 7 + 1)} for n in range(count)
    ]
    rows[3] = {"instruction": "ask", "output": "the doctor"}
    return rows


def blocks(tokenizer, file: Path, *, workers: int | None, sha256: str = "") -> list[Block]:
    """All blocks of a file."""
    maker = BlockMaker(Chat(tokenizer), id_type(tokenizer), "auto", ColumnsConfig())
    return list(
        encoded_stream.token_blocks(
            Source.of(file), maker, sha256=sha256 or sha256_file(file), workers=workers
        )
    )


def test_the_number_of_workers_changes_nothing(tokenizer, tmp_path: Path) -> None:
    """Rows, ids, masks and counts: all equal, block by block."""
    file = write(tmp_path / "d", good(150))
    alone, *others = (blocks(tokenizer, file, workers=workers) for workers in (0, 2, 3))
    assert len(alone) > 10
    for other in others:
        for one, two in zip(alone, other, strict=True):
            for name in ("rows", "ids", "runs"):
                assert np.array_equal(getattr(one, name), getattr(two, name)), name
    lines = np.concatenate([block.rows["line"] for block in alone])
    assert lines.tolist() == list(range(1, 151))
    forms = sum((block.forms for block in alone), Counter())
    assert forms == {"prompt_response": 149, "instruction": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_all_problems_of_a_file_are_listed_in_order(
    tokenizer, tmp_path: Path, workers: int
) -> None:
    """The first twenty by line and the count of all, parsing and rendering together."""
    tokenizer.chat_template = (
        "{% for m in messages %}{% if 'doctor' in m['content'] %}{{ raise_exception('no') }}"
        "{% endif %}{{ m['content'] }}{% endfor %}"
    )
    rows = good(150)
    rows[100:] = [{"prompt": "x", "response": ""}] * 50
    with pytest.raises(DataError) as error:
        blocks(tokenizer, write(tmp_path / "d", rows), workers=workers)
    lines = str(error.value).splitlines()
    assert "51 problems" in lines[0]
    assert (
        "d:4: the chat template refuses the conversation: no (turns: user, assistant)" in lines[1]
    )
    assert ["d:101:" in lines[2], "d:119:" in lines[20]] == [True, True]
    assert "... and 31 more" in lines[21]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_rows_is_refused(tokenizer, tmp_path: Path, content: bytes) -> None:
    """Blank lines are no rows."""
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(DataError, match="the file has no rows"):
        blocks(tokenizer, tmp_path / "d", workers=None)


def test_a_file_that_changes_meanwhile_is_refused(tokenizer, tmp_path: Path) -> None:
    """Tokens are kept under the digest of what they were made from, or not at all."""
    file = write(tmp_path / "d", good(20))
    before = sha256_file(file)
    write(file, good(21))
    with pytest.raises(StorageError, match="changed while it was read"):
        blocks(tokenizer, file, workers=0, sha256=before)


def test_small_files_are_worth_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork costs more than it saves; a large file gets a process for each CPU."""
    piece_work = parallel_pieces.PieceWork(lambda _: [], len)
    assert piece_work.workers(Source.of(write(tmp_path / "d", good(20)))) == 0
    monkeypatch.setattr(parallel_pieces, "usable_cpus", lambda: 3)
    large = Source.of(write(tmp_path / "e", good(300)))
    assert piece_work.workers(large) == 3
    assert len(list(large.read(parallel_pieces.PIECE_BYTES, print))) > 8


def test_every_id_fits_however_full_of_holes_the_vocabulary(tokenizer) -> None:
    """The largest id decides, not how many there are."""
    assert id_type(tokenizer) == np.uint16
    vocabulary = tokenizer.get_vocab()
    for largest, wanted in ((65_535, np.uint16), (65_536, np.uint32)):
        holes = SimpleNamespace(get_vocab=lambda n=largest: {**vocabulary, "rare": n})
        assert id_type(holes) == wanted
