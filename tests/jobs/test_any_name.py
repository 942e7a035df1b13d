"""Whatever folders and files are called, a run tells their names so that nothing is forged."""

import os
import shutil
from pathlib import Path

import pytest

from medlora.jobs import check, train
from medlora.logs import set_up

pytestmark = pytest.mark.slow
NAME = os.fsdecode(b"x\x1b]0;t\x07\nwarning: forged \xe2\x80\xae\xff")
UNSEEN = "\x1b\x07\u202e"


def test_a_run_on_data_and_base_of_any_name(
    tough_plan, data_file: Path, base_folder: Path, tmp_path: Path, capfd
) -> None:
    """In its log, its cards and its page; it is trained like any other."""
    folder = tmp_path / NAME
    folder.mkdir()
    shutil.copy(data_file, folder / f"train.{NAME}.jsonl")
    base = tmp_path / NAME.rstrip("\udcff") / "base"  # the tokenizer's library takes UTF-8 alone
    shutil.copytree(base_folder, base)
    named = f"data.path={folder}", f"model.base_model_name={base}"
    set_up()
    plan = tough_plan("a", *named)
    check.run(plan, output=tmp_path / "check.json")
    train.run(plan)
    said = "".join(capfd.readouterr())
    assert r"train.x\x1b]0;t\x07\nwarning: forged \u202e\xff.jsonl" in said
    final = tmp_path / "out/a"
    pages = [path for path in final.rglob("*") if path.suffix in {".md", ".html", ".xml"}]
    assert len(pages) >= 3
    for text in (said, *(path.read_text(encoding="utf-8") for path in pages)):
        assert not any(char in text for char in UNSEEN)
        assert "\nwarning: forged" not in text
