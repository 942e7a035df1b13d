"""Which files hold the training rows and which the evaluation rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medlora.config import DataConfig
from medlora.data.formats.names import LINES, TEXT, format_of, is_data, stem_of, suffixes
from medlora.data.formats.source import Source
from medlora.errors import MissingPartError

TRAIN_STEMS = ("train", "training")
EVAL_STEMS = ("eval", "validation", "valid", "dev")
_CHARACTERS = 3  # of plain text for each token of the limit: English has four and more
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of a run; without those for evaluation, rows are held out."""

    train: Source
    evaluation: Source | None


def locate(cfg: DataConfig, *, mount: Path = Path("/data")) -> DataFiles:
    """Return the data files that a config names or that its folder holds.

    A folder needs no names in the config if it has a file called train, with the ending of any
    format, or just one other data file.  A relative path counts from the working directory, then
    from the mount; several files are read as one, those of a pattern by their names.

    Raises:
        MissingPartError: a file is missing, or several could be meant.
    """
    roots = found(cfg.path, "data.path", mount) if cfg.path else [mount]
    files = _files(cfg, roots)
    train, evaluation = (_source(paths, cfg) for paths in files)
    return DataFiles(train, evaluation if files[1] else None)


def _source(paths: Sequence[Path], cfg: DataConfig) -> Source:
    return Source(tuple(dict.fromkeys(paths)), _CHARACTERS * cfg.max_length, cfg.columns)


def _files(cfg: DataConfig, roots: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the training files and the evaluation files."""
    root = roots[0]
    if len(roots) > 1 or root.is_file():
        folder = root.parent
        train = _named(cfg.train_file, folder, "train") if cfg.train_file else roots
        named = _named(cfg.eval_file, folder, "eval") if cfg.eval_file else None
        evaluation = _for_evaluation(train)
        evaluation = evaluation if named is None else named
        return [path for path in train if path not in evaluation], evaluation
    named = _named(cfg.eval_file, root, "eval") if cfg.eval_file else None
    evaluation = _called(root, EVAL_STEMS) if named is None else named
    if cfg.train_file:
        return _named(cfg.train_file, root, "train"), evaluation
    return _called(root, TRAIN_STEMS) or _only(root, evaluation), evaluation


def _for_evaluation(files: list[Path]) -> list[Path]:
    """Return those of several files that nobody would train on; an only file is trained on."""
    named = [path for path in files if stem_of(path).lower() in EVAL_STEMS]
    return named if len(files) > len(named) else []


def find(value: str, what: str, mount: Path) -> Path:
    """Return the one existing path that a config value means, relative ones from here or the mount.

    Raises:
        MissingPartError: nothing is there, or more than one.
    """
    paths = found(value, what, mount)
    if len(paths) == 1:
        return paths[0]
    raise MissingPartError(f"{what}: {len(paths)} files match {value}", fix="name one file")


def found(value: str, what: str, mount: Path) -> list[Path]:
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
            files = [one for one in _matches(path) if one.is_file()]
            if files:
                return files
    places = " or ".join(str(path) for path in candidates)
    raise MissingPartError(f"{what}: nothing at {places}", fix="mount it, or correct the path")


def _matches(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)  # of a relative one, where we are
    return sorted(root.glob(str(pattern.relative_to(pattern.anchor))))


def _named(names: Sequence[str], folder: Path, role: str) -> list[Path]:
    """Return a role's files; of a folder, the one that it holds."""
    paths: list[Path] = []
    for name in names:
        for path in found(name, f"data.{role}_file", folder):
            stems = EVAL_STEMS if role == "eval" else TRAIN_STEMS
            paths += (_called(path, stems) or _only(path, [], role)) if path.is_dir() else [path]
    return paths


def _called(folder: Path, stems: Sequence[str]) -> list[Path]:
    """Return the file with the first of these names, whatever its format; none is no error.

    Raises:
        MissingPartError: there are several.
    """
    files = _data_files(folder)
    for stem in stems:
        named = [path for path in files if stem_of(path).lower() == stem]
        if len(named) > 1:
            raise MissingPartError(
                f"{folder}: {len(named)} files called {stem}: {_listed(named)}",
                fix="leave one, or name those that are meant in data.train_file and data.eval_file",
            )
        if named:
            return named
    return []


def _only(folder: Path, evaluation: Sequence[Path], role: str = "train") -> list[Path]:
    """Return a folder's only data file; JSON Lines before other formats, text behind all."""
    files = [path for path in _data_files(folder) if path not in evaluation]
    lines = [path for path in files if format_of(path).name == LINES]
    tables = [path for path in files if format_of(path).name != TEXT]
    for some in (lines, tables, files):
        if len(some) == 1:
            return some
        if some:
            raise MissingPartError(
                f"{folder}: {len(some)} data files and none called {role}: {_listed(some)}",
                fix=f"name one or more in data.{role}_file, e.g. '*{format_of(some[0]).suffix}'",
            )
    raise MissingPartError(
        f"{folder}: no data file",
        fix=f"put {role}.csv or {role}.jsonl there; the endings that are read: {suffixes()}",
    )


def _data_files(folder: Path) -> list[Path]:
    return sorted(filter(is_data, folder.iterdir())) if folder.is_dir() else []


def _listed(files: Sequence[Path], most: int = 4) -> str:
    names = ", ".join(path.name for path in files[:most])
    return f"{names}, ..." if len(files) > most else names
