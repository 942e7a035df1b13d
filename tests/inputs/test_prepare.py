"""Rows become tokens once; a second start takes them as they are, and an edited row is noticed."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medlora import logs
from medlora.checkpoint.folder_format import read_manifest
from medlora.data import encoded_stream, parallel_pieces
from medlora.data.chat.chat import Chat
from medlora.errors import DataError, StorageError
from medlora.inputs.prepare import TOKENS, Prepared, describe, find_inputs, prepare
from medlora.jobs import train
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop

Make = Callable[..., Plan]


def prepared(plan: Plan) -> Prepared:
    """What a run of this plan trains on."""
    return prepare(find_inputs(plan), plan.resolved.config)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """The lines about tokens since the last call."""
    logs.set_up()

    def lines() -> list[str]:
        return [x for x in capsys.readouterr().err.splitlines() if x.startswith("tokens: ")]

    return lines


def test_a_second_start_tokenizes_nothing(
    tough_plan: Make, said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for another run name, limit or split either; the rows are the same."""
    first = prepared(tough_plan("a"))
    assert "12 rows in " in said()[0]

    def encode(*_: object) -> None:
        raise AssertionError("tokenized again")

    monkeypatch.setattr(Chat, "tokenize", encode)
    second = prepared(tough_plan("b"))
    assert said() == ["tokens: 12 rows from the cache"]
    assert first.facts == second.facts
    for mine, other in ((first.train, second.train), (first.evaluation, second.evaluation)):
        assert len(mine) == len(other) > 0
        for one, two in zip(mine, other, strict=True):
            assert np.array_equal(one.ids, two.ids)
            assert np.array_equal(one.learn, two.learn)
    short = prepared(tough_plan("c", "data.max_length=12", "data.eval_fraction=0.5"))
    assert said() == ["tokens: 12 rows from the cache"]
    assert short.train.lengths.max() == 12
    assert short.train.truncated > 0
    assert len(short.evaluation) == 6


def test_an_edited_row_is_noticed(tough_plan: Make, data_file: Path, said) -> None:
    """One letter, the size of the file and its date as they were."""
    before, stat = prepared(tough_plan("a", "data.eval_fraction=0")), data_file.stat()
    content = data_file.read_bytes()
    data_file.write_bytes(content.replace(b"rest", b"best", 1))
    os.utime(data_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    said()
    after = prepared(tough_plan("a", "data.eval_fraction=0"))
    assert "12 rows in " in said()[0]
    assert before.facts["cache"] != after.facts["cache"]
    changed = [
        not np.array_equal(one.ids, two.ids)
        for one, two in zip(before.train, after.train, strict=True)
    ]
    assert sum(changed) == 1


def test_a_refused_file_leaves_nothing(tough_plan: Make, data_file: Path, tmp_path: Path) -> None:
    """No tokens of it are kept, whichever rows were good."""
    with data_file.open("a") as stream_:
        stream_.write('{"prompt": "x"}\n')
    with pytest.raises(DataError, match=r"train.jsonl:13: field 'response': missing"):
        prepared(tough_plan("a"))
    assert [path.name for path in (tmp_path / "out" / TOKENS).iterdir()] == [".lock"]


def test_the_manifest_says_which_tokens_and_what_the_data_was(
    tough_plan: Make, tmp_path: Path
) -> None:
    """The cache's key, and the counts of the data as ever."""
    plan = tough_plan("a")
    train.run(plan)
    manifest = read_manifest(tmp_path / "out/a/final")
    (folder,) = (tmp_path / "out" / TOKENS).glob("[!.]*")
    assert manifest["tokens"]["cache"] == {"train": folder.name}
    assert manifest["data"]["rows"] == {"train": 10, "eval": 2}
    assert manifest["data"]["held_out_from_train_file"] == 2
    assert manifest["data"]["forms"] == {"prompt_response": 12}
    assert manifest["inputs"] == describe(find_inputs(plan), plan).facts["inputs"]


def test_tokens_that_cannot_be_kept_are_a_storage_error(tough_plan: Make, tmp_path: Path) -> None:
    """A file where the folder should be: 74, as for any output that cannot be written."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / TOKENS).write_text("")
    with pytest.raises(StorageError):
        prepared(tough_plan("a"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_tokenizing_at_once(
    tough_plan: Make, data_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """143, one line, no traceback; nothing is kept, and the next start is none the worse."""
    row = json.dumps({"prompt": "pain " * 40, "response": "call for help " * 400})
    data_file.write_text(f"{row}\n" * 2000)
    plan, log = tough_plan("a"), tmp_path / "log"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
            os.dup2(descriptor, 2)
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            Stop().listen()
            original = encoded_stream.from_reply

            def begun(*arguments: object) -> object:
                os.write(writer, b".")
                return original(*arguments)

            encoded_stream.from_reply, parallel_pieces.usable_cpus = begun, lambda: 2
            prepared(plan)
        finally:
            os._exit(1)
    os.read(reader, 1)
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 143
    assert log.read_text().splitlines()[-1] == f"stopped by {number.name}"
    assert "Traceback" not in log.read_text()
    data_file.write_text(f"{row}\n" * 2)
    prepared(tough_plan("a"))
    names = [path.name for path in (tmp_path / "out" / TOKENS).iterdir()]
    assert len(names) == 2  # the lock and the new entry: what was broken off is gone
