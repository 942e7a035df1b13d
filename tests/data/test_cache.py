"""Tokens are made once, found by what they are made from, and trusted only when they prove it."""

import copy
import logging
import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from medlora import files, logs
from medlora.config import ColumnsConfig, DataConfig
from medlora.data import cache
from medlora.data.cache import Entry, key_of, open_tokens
from medlora.data.chat.chat import Chat, ChatRules, Tokens
from medlora.data.chat.template import PLAIN_TEMPLATE
from medlora.data.piece_encoder import joined
from medlora.data.token_store import TokenWriter
from medlora.errors import StorageError
from medlora.files import NewFolder

KEY = "k" * 64


def maker(key: str = KEY, *, before: Callable[[], None] = lambda: None) -> Callable[..., None]:
    """What writes two rows; the first id tells for which key."""

    def make(folder: NewFolder) -> None:
        before()
        learn = np.array([False, True, True])
        tokens = [Tokens(n, np.array([ord(key[0]), n, 7], np.int32), learn) for n in (1, 2)]
        TokenWriter(folder, np.dtype("<u4")).write([joined(tokens)], {"key": key})

    return make


def never(_: NewFolder) -> None:
    """Must not be called."""
    raise AssertionError("made again")


def check(entry: Entry, key: str = KEY) -> None:
    """The rows are those that were written."""
    assert entry.table.ids.tolist() == [ord(key[0]), 1, 7, ord(key[0]), 2, 7]
    assert entry.table.rows["line"].tolist() == [1, 2]
    assert entry.table.runs.tolist() == [[1, 3], [1, 3]]


def names(root: Path) -> list[str]:
    """What is in the cache, locks aside."""
    return sorted(path.name for path in root.iterdir() if path.name != ".lock")


def test_a_second_opening_makes_nothing(tmp_path: Path) -> None:
    """The tokens are there, mapped, for owner and group alone."""
    first = open_tokens(tmp_path / "t", KEY, maker())
    second = open_tokens(tmp_path / "t", KEY, never)
    check(first)
    check(second)
    assert (first.made, second.made) == (True, False)
    assert isinstance(second.table.ids, np.memmap)
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o770
    assert names(tmp_path / "t") == [KEY]


JSONL = ["jsonl"]


def test_the_key_is_made_of_all_that_decides_the_tokens(tokenizer) -> None:
    """Content, tokenizer, template, form, columns: another of any is another key."""
    cfg = DataConfig()
    seen = {key_of("a", JSONL, Chat(tokenizer), cfg)}
    assert (
        key_of(
            "a", JSONL, Chat(copy.deepcopy(tokenizer)), DataConfig(max_length=8, overlong="drop")
        )
        in seen
    )

    def expect_new(key: str) -> None:
        assert key not in seen
        seen.add(key)

    expect_new(key_of("b", JSONL, Chat(tokenizer), cfg))
    expect_new(key_of("a", ["text:24"], Chat(tokenizer), cfg))
    expect_new(key_of("a", JSONL, Chat(tokenizer), DataConfig(format="messages")))
    expect_new(key_of("a", JSONL, Chat(tokenizer), DataConfig(group_by="patient_id")))
    expect_new(key_of("a", JSONL, Chat(tokenizer), DataConfig(columns=ColumnsConfig(prompt="q"))))
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["chest pain"])
    expect_new(key_of("a", JSONL, Chat(larger), cfg))
    other = copy.deepcopy(tokenizer)
    other.chat_template = PLAIN_TEMPLATE
    expect_new(key_of("a", JSONL, Chat(other), cfg))
    ended = copy.deepcopy(tokenizer)
    ended.eos_token = "<|pad|>"
    expect_new(key_of("a", JSONL, Chat(ended), cfg))
    for rules in (
        ChatRules(arguments={"enable_thinking": False}),
        ChatRules(reasoning="drop"),
        ChatRules(merge_system=True),
        ChatRules(control_tokens="fail"),
    ):
        expect_new(key_of("a", JSONL, Chat(tokenizer, rules=rules), cfg))
    expect_new(key_of("a", JSONL, Chat(tokenizer, stops=[7]), cfg))
    dated = copy.deepcopy(tokenizer)
    dated.chat_template += "{{ strftime_now('%Y') }}"
    for day in (date(2026, 1, 1), date(2026, 1, 2)):
        expect_new(key_of("a", JSONL, Chat(dated, rules=ChatRules(day=day)), cfg))


@pytest.mark.parametrize("name", ["ids", "rows", "runs", "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "delete"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, harm: str
) -> None:
    """Any byte of any file; with one line to the log."""
    open_tokens(tmp_path / "t", KEY, maker())
    file = tmp_path / "t" / KEY / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    match harm:
        case "flip":
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[:-1])
        case "delete":
            file.unlink()
    logs.set_up()
    entry = open_tokens(tmp_path / "t", KEY, maker())
    check(entry)
    assert entry.made
    assert capsys.readouterr().err.count("is damaged") == 1
    check(open_tokens(tmp_path / "t", KEY, never))


def test_an_entry_under_a_wrong_name_is_not_taken(tmp_path: Path) -> None:
    """Whoever renames folders gets new tokens, not those of other data."""
    open_tokens(tmp_path / "t", KEY, maker())
    other = "o" * 64
    (tmp_path / "t" / KEY).rename(tmp_path / "t" / other)
    check(open_tokens(tmp_path / "t", other, maker(other)), other)


def test_two_writers_at_once_leave_one_entry(tmp_path: Path) -> None:
    """Both are in the middle of it together, and both get their tokens."""
    pipes = [os.pipe(), os.pipe()]
    children = []
    for mine, other in ((0, 1), (1, 0)):
        child = os.fork()
        if child == 0:
            code = 1
            try:

                def meet(mine: int = mine, other: int = other) -> None:
                    os.write(pipes[other][1], b".")
                    os.read(pipes[mine][0], 1)

                entry = open_tokens(tmp_path / "t", KEY, maker(before=meet))
                check(entry)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert names(tmp_path / "t") == [KEY]
    check(open_tokens(tmp_path / "t", KEY, never))


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    """The kernel knows who is alive."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:

        def wait() -> None:
            os.write(writer, b".")
            signal.pause()

        open_tokens(tmp_path / "t", "w" * 64, maker(before=wait))
        os._exit(1)
    os.read(reader, 1)
    open_tokens(tmp_path / "t", KEY, maker())
    assert len(names(tmp_path / "t")) == 2
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    open_tokens(tmp_path / "t", KEY, never)
    assert names(tmp_path / "t") == [KEY]


def test_only_the_latest_entries_stay_and_those_in_use(tmp_path: Path) -> None:
    """The folder does not grow for ever, and nothing is taken from under a run."""
    kept = open_tokens(tmp_path / "t", KEY, maker())
    for number, letter in enumerate("abcdef"):
        entry = open_tokens(tmp_path / "t", letter * 64, maker(letter * 64))
        del entry
        os.utime(tmp_path / "t" / (letter * 64) / ".lock", (number, number))
    os.utime(tmp_path / "t" / KEY / ".lock", (0, 0))
    open_tokens(tmp_path / "t", "f" * 64, never)
    left = names(tmp_path / "t")
    assert set(left) == {KEY, *(letter * 64 for letter in "cdef")}
    check(kept)


def test_what_cannot_be_deleted_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A leftover of another user, a stray file: a line at most, and the tokens."""
    open_tokens(tmp_path / "t", KEY, maker())
    (tmp_path / "t/notes.txt").touch()
    (tmp_path / "t/.tmp-left").mkdir()

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files.disk, "unlink", refuse)
    logging.getLogger("medlora").propagate = True
    check(open_tokens(tmp_path / "t", KEY, never))
    assert "old cache entries could not be deleted" in caplog.text


@pytest.mark.parametrize("call", ["mkdir", "create", "append", "sync", "rename"])
def test_a_failing_disk_leaves_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """74, nothing half-written, and the next start makes the tokens."""
    (tmp_path / "t").mkdir()

    def full(path: Path, *_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files.disk, call, full)
        with pytest.raises(StorageError, match="No space left"):
            open_tokens(tmp_path / "t", KEY, maker())
    assert names(tmp_path / "t") == []
    check(open_tokens(tmp_path / "t", KEY, maker()))


def test_a_disk_that_forgets_is_told_from_endless_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read back after writing is an error at last."""
    monkeypatch.setattr(files.disk, "append", lambda *_: None)
    with pytest.raises(StorageError, match="what was written cannot be read back"):
        open_tokens(tmp_path / "t", KEY, maker())
    assert cache._ATTEMPTS < 5
