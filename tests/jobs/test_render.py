"""`medlora render` shows what a row becomes, and is the only command that shows what it says."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import medlora
from medlora.cli import cli
from medlora.errors import DataError


def run(*arguments: object):
    """What the command says, its errors raised."""
    return CliRunner().invoke(cli, ["render", *map(str, arguments)], catch_exceptions=False)


def test_the_learnt_part_is_marked(data_file: Path, base_folder: Path, rows) -> None:
    """The first three rows, each with its place and its numbers."""
    said = run(data_file, "--model", base_folder).output
    for number, row in enumerate(rows[:3], start=1):
        assert f"{data_file}:{number}: " in said
        assert f"<|user|>{row['prompt']}<|end|><|assistant|>«{row['response']}<|end|>»" in said
    assert rows[3]["response"] not in said
    assert "the first 3 rows; --row N shows another" in said


def test_a_row_can_be_chosen(data_file: Path, base_folder: Path, rows) -> None:
    """By its line; one that is not there is an error."""
    said = run(data_file, "--model", base_folder, "--row", 7).output
    assert f"«{rows[6]['response']}<|end|>»" in said
    assert ":1:" not in said
    with pytest.raises(DataError, match="none of these lines holds a row"):
        run(data_file, "--model", base_folder, "--row", 99)


def test_the_file_has_ids_and_the_mask_and_text_on_demand(
    data_file: Path, base_folder: Path, tmp_path: Path, tokenizer, rows
) -> None:
    """One line an example; nothing is shown."""
    out = tmp_path / "out.jsonl"
    said = run(data_file, "--model", base_folder, "--json", out).output
    assert said == f"12 examples: {out}\n"
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 13))
    assert lines[0].keys() == {"row", "ids", "learn"}
    learnt = [n for n, learn in zip(lines[4]["ids"], lines[4]["learn"], strict=True) if learn]
    assert tokenizer.decode(learnt) == f"{rows[4]['response']}<|end|>"
    run(data_file, "--model", base_folder, "--json", out, "--text")
    line = json.loads(out.read_text().splitlines()[4])
    assert line["learnt"] == [f"{rows[4]['response']}<|end|>"]
    assert line["text"].startswith(f"<|user|>{rows[4]['prompt']}")


def test_python_gets_the_same(data_file: Path, base_folder: Path, rows) -> None:
    """From a file or from rows in memory."""
    from_file = list(medlora.render(data_file, model=base_folder))
    in_memory = list(medlora.render(rows, model=base_folder))
    assert [(one.row, one.ids, one.learn) for one in from_file] == [
        (one.row, one.ids, one.learn) for one in in_memory
    ]
    assert from_file[0].learnt == [f"{rows[0]['response']}<|end|>"]
    assert in_memory[0].place == "row 1"


def test_what_cannot_be_taught_is_told_after_the_rest(base_folder: Path, rows) -> None:
    """By its place and cause, in one message."""
    wrong = {"messages": [{"role": "user", "content": "a"}]}
    found = medlora.render([rows[0], wrong, rows[1]], model=base_folder)
    assert next(found).row == 1
    with pytest.raises(DataError, match=r"row 2: field 'messages': the last turn is not"):
        list(found)


def test_a_terminal_gets_nothing_that_it_would_obey(base_folder: Path, write_jsonl) -> None:
    """Escape sequences and marks of direction are spelled out."""
    file = write_jsonl("d.jsonl", [{"prompt": "a\x1b[2J\u202eb", "response": "rest"}])
    said = run(file, "--model", base_folder).output
    assert "a\\u001b[2J\\u202eb" in said
