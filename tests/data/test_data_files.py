"""Data files are found without a config where there is one way to see it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medlora.config import DataConfig
from medlora.data.data_files import DataFiles, locate
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


LEFTOVERS = ("._train.jsonl", ".DS_Store", ".train.jsonl.swp", "train.jsonl~", "#train.jsonl#")
HUB = (
    "train-00000-of-00002.parquet",
    "train-00001-of-00002.parquet",
    "validation-00000-of-00001.parquet",
    "test-00000-of-00001.parquet",
)


def sides(files: DataFiles) -> tuple[list[str], list[str]]:
    """The names of the files of both splits."""
    judged = files.evaluation.paths if files.evaluation else ()
    return [one.name for one in files.train.paths], [one.name for one in judged]


def test_what_systems_and_editors_leave_is_no_data(tmp_path: Path) -> None:
    """Neither in a folder nor by a pattern; macOS writes `._` files on every foreign disk."""
    root = folder(tmp_path, "train.jsonl", *LEFTOVERS, "~$train.csv", "train.csv.bak", ".#a.csv")
    for path in (root, f"{root}/*", f"{root}/*train*", f"{root}/.*", f"{root}/*~"):
        cfg = DataConfig(path=str(path))
        if str(path).endswith((".*", "*~")):
            with pytest.raises(MissingPartError, match="nothing at"):
                locate(cfg)
        else:
            assert sides(locate(cfg)) == (["train.jsonl"], [])
    (root / "train.jsonl").unlink()
    with pytest.raises(MissingPartError, match="no data file"):
        locate(DataConfig(path=str(root)))


def test_the_hubs_shards_go_to_their_side(tmp_path: Path, caplog) -> None:
    """As a folder, by a pattern, by one in the config; the test set stays out, and is told."""
    root = folder(tmp_path, *reversed(HUB))
    for cfg in (
        DataConfig(path=str(root)),
        DataConfig(path=f"{root}/*.parquet"),
        DataConfig(path=str(root), train_file="*.parquet"),
        DataConfig(path=f"{root}/t*", eval_file="v*"),
        DataConfig(path=str(root), eval_file="*.parquet"),
    ):
        caplog.clear()
        with heard(caplog):
            assert sides(locate(cfg)) == ([HUB[0], HUB[1]], [HUB[2]])
        assert set(caplog.messages) == {
            f"test sets are not used for training or evaluation: {HUB[3]}"
        }


@contextmanager
def heard(caplog) -> Iterator[None]:
    """Listen to our own lines."""
    ours = logging.getLogger("medlora")
    ours.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "medlora"):
        yield
    ours.removeHandler(caplog.handler)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".jsonl.gz"])
def test_shards_may_have_any_format_and_a_digest(tmp_path: Path, suffix: str) -> None:
    """Older ones of the hub end in one."""
    names = [f"train-0000{n}-of-00002-a09b74b3ef9c3b56{suffix}" for n in range(2)]
    root = folder(tmp_path, *names, f"val-00000-of-00001-a09b74b3ef9c3b56{suffix}")
    train, judged = sides(locate(DataConfig(path=str(root))))
    assert train == names
    assert len(judged) == 1


def test_a_shard_that_is_missing_is_told(tmp_path: Path) -> None:
    """A copy that broke off is not a smaller data set; nor are two sets one."""
    root = folder(tmp_path, "train-00000-of-00003.csv", "train-00002-of-00003.csv")
    with pytest.raises(MissingPartError, match=r"1 of 3 shards are missing, first number 1\n"):
        locate(DataConfig(path=str(root)))
    (root / "train-00000-of-00001.csv").touch()
    with pytest.raises(MissingPartError, match="shards of two sets of files"):
        locate(DataConfig(path=str(root)))
    (root / "train.csv").touch()
    with pytest.raises(MissingPartError, match="4 files called train"):
        locate(DataConfig(path=str(root)))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a.csv", "b.csv", "my_test.csv"], r"none called train: a.csv, .*\n.*e.g. a.csv$"),
        (["train-a.jsonl", "test-b.jsonl"], "e.g. train-a.jsonl$"),
        (["test-a.csv", "blood_test.csv"], "e.g. one that is not a test set$"),
        (["test.csv"], "no data file, only test sets: test.csv\n"),
        (["test-00000-of-00001.jsonl"], "no data file, only test sets: test-0"),
    ],
)
def test_no_hint_advises_training_on_a_test_set(
    tmp_path: Path, names: list[str], says: str
) -> None:
    """Where a pattern would match one, the hint names a file."""
    root = folder(tmp_path, *names)
    with pytest.raises(MissingPartError, match=says) as error:
        locate(DataConfig(path=str(root)))
    hint = str(error.value).partition("fix:")[2]
    assert "*" not in hint
    assert not any(name in hint for name in names if "test" in name)


def test_a_pattern_of_test_sets_is_refused_and_a_name_is_not(tmp_path: Path) -> None:
    """Who names a file means it."""
    root = folder(tmp_path, "test-0.csv", "validation-0.csv")
    for cfg in (DataConfig(path=f"{root}/*.csv"), DataConfig(path=str(root), train_file="t*")):
        with pytest.raises(MissingPartError, match="no training file, only test sets: test-0"):
            locate(cfg)
    for cfg in (
        DataConfig(path=str(root / "test-0.csv")),
        DataConfig(path=str(root), train_file="test-0.csv", eval_file="validation-0.csv"),
    ):
        assert sides(locate(cfg))[0] == ["test-0.csv"]
    cfg = DataConfig(path=str(root), train_file="validation-0.csv", eval_file="test-0.csv")
    assert sides(locate(cfg)) == (["validation-0.csv"], ["test-0.csv"])
