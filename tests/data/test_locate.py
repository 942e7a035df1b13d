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


def names_of(files: DataFiles) -> tuple[str, str | None]:
    """What the files of both splits are called."""
    return files.train.name, files.evaluation.name if files.evaluation else None


@pytest.mark.parametrize(
    ("names", "train", "evaluation"),
    [
        (["train.jsonl", "eval.jsonl", "other.jsonl"], "train.jsonl", "eval.jsonl"),
        (["train.jsonl", "validation.jsonl"], "train.jsonl", "validation.jsonl"),
        (["notes.jsonl", "readme.txt"], "notes.jsonl", None),
        (["notes.jsonl", "dev.jsonl"], "notes.jsonl", "dev.jsonl"),
        (["notes.jsonl", "other.json", "a.csv"], "notes.jsonl", None),
        (["train.csv", "eval.parquet", "b.csv"], "train.csv", "eval.parquet"),
        (["TRAIN.CSV", "x.csv.gz", "read.txt"], "TRAIN.CSV", None),
        (["x.csv.gz", "read.txt"], "x.csv.gz", None),
        (["note.txt"], "note.txt", None),
        (["train.ndjson.zst", "valid.tsv"], "train.ndjson.zst", "valid.tsv"),
    ],
)
def test_common_names_and_single_files(
    tmp_path: Path, names: list[str], train: str, evaluation: str | None
) -> None:
    """train.jsonl, or the only other .jsonl file; eval.jsonl and its common brothers."""
    root = folder(tmp_path, *names)
    assert names_of(locate(DataConfig(path=str(root)))) == (train, evaluation)


def test_names_in_the_config_win(tmp_path: Path) -> None:
    """Relative names count from the data folder; a path may be a file itself."""
    root = folder(tmp_path, "a.jsonl", "b.jsonl", "train.jsonl")
    cfg = DataConfig(path=str(root), train_file="a.jsonl", eval_file="b.jsonl")
    assert names_of(locate(cfg)) == ("a.jsonl", "b.jsonl")
    assert names_of(locate(DataConfig(path=str(root / "b.jsonl")))) == ("b.jsonl", None)


def test_a_relative_path_is_looked_up_below_the_mount(tmp_path: Path) -> None:
    """The working directory first, then the mount."""
    root = folder(tmp_path, "train.jsonl")
    (found,) = locate(DataConfig(path="d"), mount=tmp_path).train.paths
    assert found.resolve() == root / "train.jsonl"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "no data file\n.*train.csv"),
        (["a.jsonl", "b.jsonl"], "2 data files and none called train: a.jsonl, b.jsonl"),
        (["a.csv", "b.parquet"], "2 data files and none called train: a.csv, b.parquet"),
        (["train.csv", "train.jsonl.gz"], "2 files called train: train.csv, train.jsonl.gz"),
    ],
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
    with pytest.raises(MissingPartError, match=r"validation: no data file\n  fix: put eval.csv"):
        locate(cfg)
    (channel / "part.jsonl").touch()
    assert names_of(locate(cfg)) == ("train.jsonl", "part.jsonl")
    (channel / "b.jsonl").touch()
    with pytest.raises(MissingPartError, match=r"2 data files .*\n  fix: .* in data.eval"):
        locate(cfg)
    (channel / "dev.jsonl").touch()
    assert names_of(locate(cfg))[1] == "dev.jsonl"


def test_a_pattern_stands_for_all_its_matches(tmp_path: Path) -> None:
    """As a managed data set's shards; a file for evaluation is never trained on."""
    root = folder(tmp_path, "train-0.jsonl")
    cfg = DataConfig(path=f"{root}/train-*.jsonl")
    assert locate(cfg).train.paths == (root / "train-0.jsonl",)
    (root / "train-1.jsonl").touch()
    assert locate(cfg).train.paths == (root / "train-0.jsonl", root / "train-1.jsonl")
    (root / "train-2.jsonl").mkdir()
    (root / "eval.jsonl").touch()
    assert names_of(locate(DataConfig(path=f"{root}/*.jsonl"))) == (
        "train-0.jsonl and 1 more",
        "eval.jsonl",
    )
    cfg = DataConfig(path=str(root), train_file="train-1.jsonl,train-*.jsonl", eval_file="e*")
    assert [one.name for one in locate(cfg).train.paths] == ["train-1.jsonl", "train-0.jsonl"]
    assert names_of(locate(cfg))[1] == "eval.jsonl"
    with pytest.raises(MissingPartError, match=r"data.path: nothing at .*/none\*"):
        locate(DataConfig(path=f"{root}/none*"))
