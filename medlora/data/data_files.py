"""Which files hold the training rows and which the evaluation rows; test sets are in neither."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from medlora.config import DataConfig
from medlora.data.file_roles import STEMS, Role, may_be_test, missing_shards, role_of, shards_of
from medlora.data.formats.joined_files import Source
from medlora.data.formats.names import (
    format_of,
    is_data,
    is_leftover,
    stem_of,
    suffixes,
)
from medlora.errors import MissingPartError
from medlora.logs import logger

_log = logger(__name__)
_CHARACTERS = 3  # of plain text for each token of the limit: English has four and more
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of a run; without those for evaluation, rows are held out."""

    train: Source
    evaluation: Source | None


def locate(cfg: DataConfig, *, mount: Path = Path("/data")) -> DataFiles:
    """Return the data files that a config names or that its folder holds.

    A folder needs no names in the config if it has a file called train, or shards of one, with the
    ending of any format, or just one other data file.  A relative path counts from the working
    directory, then from the mount; several files are read as one, those of a pattern by their
    names, each on the side that its name says.

    Raises:
        MissingPartError: a file is missing, or several could be meant.
    """
    roots = find_all(cfg.path, "data.path", mount) if cfg.path else [mount]
    train, evaluation, seen = _files(cfg, roots, mount)
    used = {*train, *evaluation}
    tests = [file for file in dict.fromkeys(seen) if role_of(file) == "test" and file not in used]
    if tests:
        _log.info("test sets are not used for training or evaluation: %s", _listed(tests))
    return DataFiles(_source(train, cfg), _source(evaluation, cfg) if evaluation else None)


def _source(paths: Sequence[Path], cfg: DataConfig) -> Source:
    characters = _CHARACTERS * cfg.max_length
    return Source(tuple(dict.fromkeys(paths)), characters, cfg.columns, cfg.encoding, cfg.format)


def _files(
    cfg: DataConfig, roots: list[Path], mount: Path
) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the training files, the evaluation files, and all that were looked at."""
    root = roots[0]
    several = len(roots) > 1 or root.is_file()
    folder = root.parent if several else root
    judged = _judged(cfg.eval_file, folder) if cfg.eval_file else None
    if not (several or cfg.train_file):
        judged = _called(root, "eval") if judged is None else judged
        return _called(root, "train") or _only(root, judged), judged, _data_files(root)
    given = _named(cfg.train_file, folder, "train") if cfg.train_file else roots
    stated = _stated(cfg.train_file or [cfg.path or ""], folder if cfg.train_file else mount)
    sides = _sides(given, stated)
    if judged is None:
        judged = sides["eval"] or ([] if several else _called(root, "eval"))
    train = [path for path in sides["train"] if path not in judged or path in stated]
    return train, judged, given if several else [*given, *_data_files(root)]


def _sides(files: Sequence[Path], stated: Collection[Path]) -> dict[Role, list[Path]]:
    """Return files by what they are for; one that the config states by its name is trained on.

    Raises:
        MissingPartError: a pattern matches no file to train on, but a test set.
    """
    sides: dict[Role, list[Path]] = {"train": [], "eval": [], "test": []}
    for path in files:
        role = None if path in stated else role_of(path)
        sides[role or "train"].append(path)
    if sides["test"] and not sides["train"]:
        raise MissingPartError(
            f"no training file, only test sets: {_listed(sides['test'])}",
            fix="name the training file in data.train_file",
        )
    return sides if sides["train"] else {**sides, "train": sides["eval"], "eval": []}


def _stated(names: Sequence[str], folder: Path) -> set[Path]:
    """Return those files that are named as they are, and not by a pattern."""
    return {path for name in names for path in (Path(name), folder / name) if path.is_file()}


def _judged(names: Sequence[str], folder: Path) -> list[Path]:
    """Return the evaluation files; of those of a pattern, none that is for something else."""
    files, stated = _named(names, folder, "eval"), _stated(names, folder)
    kept = [file for file in files if file in stated or role_of(file) in ("eval", None)]
    return kept or files


def find(value: str, what: str, mount: Path) -> Path:
    """Return the one existing path that a config value means, relative ones from here or the mount.

    Raises:
        MissingPartError: nothing is there, or more than one.
    """
    paths = find_all(value, what, mount)
    if len(paths) == 1:
        return paths[0]
    raise MissingPartError(f"{what}: {len(paths)} files match {value}", fix="name one file")


def find_all(value: str, what: str, mount: Path) -> list[Path]:
    """Return the path that a config value means, or the files of a pattern, by their names.

    Raises:
        MissingPartError: nothing is there.
    """
    candidates = list(dict.fromkeys((Path(value), mount / value)))
    for path in candidates:
        if path.exists():
            return [path]
    if _PATTERN & set(value):
        for path in candidates:
            files = [file for file in _matches(path) if file.is_file() and not is_leftover(file)]
            if files:
                return files
    places = " or ".join(str(path) for path in candidates)
    raise MissingPartError(f"{what}: nothing at {places}", fix="mount it, or correct the path")


def _matches(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)  # of a relative one, where we are
    return sorted(root.glob(str(pattern.relative_to(pattern.anchor))))


def _named(names: Sequence[str], folder: Path, role: Role) -> list[Path]:
    """Return a role's files; of a folder, the one that it holds."""
    paths: list[Path] = []
    for name in names:
        for path in find_all(name, f"data.{role}_file", folder):
            paths += (_called(path, role) or _only(path, [], role)) if path.is_dir() else [path]
    return paths


def _called(folder: Path, role: Role) -> list[Path]:
    """Return the file with the first of a role's names, or its shards; none is no error.

    Raises:
        MissingPartError: there are several, or a shard is missing.
    """
    files = _data_files(folder)
    for stem in STEMS[role]:
        named = [path for path in files if stem_of(path).lower() == stem]
        shards = shards_of(files, stem)
        if len(named) + bool(shards) > 1:
            all_ = [*named, *shards]
            raise MissingPartError(
                f"{folder}: {len(all_)} files called {stem}: {_listed(all_)}",
                fix="keep one, or name the files to use in data.train_file and data.eval_file",
            )
        wrong = missing_shards(shards) if shards else None
        if wrong:
            raise MissingPartError(
                f"{folder}: {_listed(shards)}: {wrong}",
                fix=f"copy the others, or name the files to use in data.{role}_file, e.g. "
                f"'{stem}-*{format_of(shards[0]).suffix}'",
            )
        if named or shards:
            return named or shards
    return []


def _only(folder: Path, evaluation: Sequence[Path], role: Role = "train") -> list[Path]:
    """Return a folder's only data file; JSON Lines before other formats, text behind all."""
    there = _data_files(folder)
    files = [path for path in there if path not in evaluation and role_of(path) != "test"]
    tests = [path for path in there if role_of(path) == "test"]
    lines = [path for path in files if format_of(path).format.is_lines]
    tables = [path for path in files if not format_of(path).format.is_prose]
    for some in (lines, tables, files):
        if len(some) == 1:
            return some
        if some:
            raise MissingPartError(
                f"{folder}: {len(some)} data files and none called {role}: {_listed(some)}",
                fix=f"name one or more in data.{role}_file, e.g. {_example(some)}",
            )
    if tests:
        raise MissingPartError(
            f"{folder}: no data file, only test sets: {_listed(tests)}",
            fix=f"put {role}.csv or {role}.jsonl there; test sets are not trained on",
        )
    raise MissingPartError(
        f"{folder}: no data file",
        fix=f"put {role}.csv or {role}.jsonl there; supported endings: {suffixes()}",
    )


def _example(files: Sequence[Path]) -> str:
    """Return what could be meant: a pattern, unless it would match a test set."""
    plain = [path for path in files if not may_be_test(path)]
    if len(plain) == len(files):
        return f"'*{format_of(files[0]).suffix}'"
    return plain[0].name if plain else "one that is not a test set"


def _data_files(folder: Path) -> list[Path]:
    return sorted(filter(is_data, folder.iterdir())) if folder.is_dir() else []


def _listed(files: Sequence[Path], most: int = 4) -> str:
    names = ", ".join(path.name for path in files[:most])
    return f"{names}, ..." if len(files) > most else names
