"""Data files are found without a config where there is one way to see it."""

from pathlib import Path

import pytest

from medlora.config import DataConfig
from medlora.data.locate import DataFiles, locate
from medlora.errors import MissingPartError


def folder(tmp_path: Path, *names: str) -> Path:
    """A folder with these empty files."""
    (tmp_path / "d").mkdir()
    for name in names:
        (tmp_path / "d" / name).touch()
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("names", "train", "evaluation"),
    [
        (["train.jsonl", "eval.jsonl", "other.jsonl"], "train.jsonl", "eval.jsonl"),
        (["train.jsonl", "validation.jsonl"], "train.jsonl", "validation.jsonl"),
        (["notes.jsonl", "readme.txt"], "notes.jsonl", None),
        (["notes.jsonl", "dev.jsonl"], "notes.jsonl", "dev.jsonl"),
    ],
)
def test_common_names_and_single_files(
    tmp_path: Path, names: list[str], train: str, evaluation: str | None
) -> None:
    """train.jsonl, or the only other .jsonl file; eval.jsonl and its common brothers."""
    root = folder(tmp_path, *names)
    expected = DataFiles(root / train, root / evaluation if evaluation else None)
    assert locate(DataConfig(path=str(root))) == expected


def test_names_in_the_config_win(tmp_path: Path) -> None:
    """Relative names count from the data folder; a path may be a file itself."""
    root = folder(tmp_path, "a.jsonl", "b.jsonl", "train.jsonl")
    cfg = DataConfig(path=str(root), train_file="a.jsonl", eval_file="b.jsonl")
    assert locate(cfg) == DataFiles(root / "a.jsonl", root / "b.jsonl")
    assert locate(DataConfig(path=str(root / "b.jsonl"))) == DataFiles(root / "b.jsonl", None)


def test_a_relative_path_is_looked_up_below_the_mount(tmp_path: Path) -> None:
    """The working directory first, then the mount."""
    root = folder(tmp_path, "train.jsonl")
    assert locate(DataConfig(path="d"), mount=tmp_path).train.resolve() == root / "train.jsonl"


@pytest.mark.parametrize(
    ("names", "says"),
    [([], "no .jsonl file"), (["a.jsonl", "b.jsonl"], "2 .jsonl files and no train.jsonl")],
)
def test_nothing_or_too_much_is_an_error(tmp_path: Path, names: list[str], says: str) -> None:
    """Never a guess: 69 with what was found."""
    with pytest.raises(MissingPartError, match=says):
        locate(DataConfig(path=str(folder(tmp_path, *names))))


def test_missing_files_are_named(tmp_path: Path) -> None:
    """Both places that were tried are in the message."""
    with pytest.raises(MissingPartError, match=r"data.train_file: nothing at x.jsonl or .*/d/x"):
        locate(DataConfig(path=str(folder(tmp_path)), train_file="x.jsonl"))


def test_a_role_may_be_a_folder(tmp_path: Path) -> None:
    """As a channel of its own: the usual name in it, or its only file; two are a question."""
    root = folder(tmp_path, "train.jsonl")
    channel = tmp_path / "validation"
    channel.mkdir()
    cfg = DataConfig(path=str(root), eval_file=str(channel))
    with pytest.raises(MissingPartError, match=r"validation: no .jsonl file and no eval.jsonl"):
        locate(cfg)
    (channel / "part.jsonl").touch()
    assert locate(cfg) == DataFiles(root / "train.jsonl", channel / "part.jsonl")
    (channel / "b.jsonl").touch()
    with pytest.raises(MissingPartError, match=r"2 .jsonl files .*\n  fix: name one in data.eval"):
        locate(cfg)
    (channel / "dev.jsonl").touch()
    assert locate(cfg).evaluation == channel / "dev.jsonl"


def test_a_pattern_stands_for_its_only_match(tmp_path: Path) -> None:
    """As a managed data set's location; none or several are refused, with their number."""
    root = folder(tmp_path, "train-0.jsonl")
    cfg = DataConfig(path=f"{root}/train-*.jsonl")
    assert locate(cfg).train == root / "train-0.jsonl"
    (root / "train-1.jsonl").touch()
    with pytest.raises(MissingPartError, match="2 files match"):
        locate(cfg)
