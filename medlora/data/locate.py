"""Which file holds the training rows and which the evaluation rows."""

from dataclasses import dataclass
from pathlib import Path

from medlora.config import DataConfig
from medlora.errors import MissingPartError

TRAIN_NAMES = ("train.jsonl", "training.jsonl")
EVAL_NAMES = ("eval.jsonl", "validation.jsonl", "valid.jsonl", "dev.jsonl")


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The two files of a run; without an evaluation file, rows are held out."""

    train: Path
    evaluation: Path | None


def locate(cfg: DataConfig, *, mount: Path = Path("/data")) -> DataFiles:
    """Return the data files that a config names or that its folder holds.

    A folder needs no names in the config if it has a file called train.jsonl, or just one
    other .jsonl file.  A relative path counts from the working directory, then from the mount.

    Raises:
        MissingPartError: a file is missing, or several could be meant.
    """
    root = find(cfg.path, "data.path", mount) if cfg.path else mount
    if root.is_file():
        train = root if cfg.train_file is None else _named(cfg.train_file, root.parent, "train")
        folder = root.parent
        return DataFiles(train, _named(cfg.eval_file, folder, "eval") if cfg.eval_file else None)
    evaluation = _named(cfg.eval_file, root, "eval") if cfg.eval_file else _first(root, EVAL_NAMES)
    if cfg.train_file:
        return DataFiles(_named(cfg.train_file, root, "train"), evaluation)
    train_file = _first(root, TRAIN_NAMES) or _only(root, evaluation)
    return DataFiles(train_file, evaluation)


def find(value: str, what: str, mount: Path) -> Path:
    """Return an existing path for a config value, relative ones from here or the mount.

    Raises:
        MissingPartError: nothing is there.
    """
    candidates = dict.fromkeys((Path(value), mount / value))
    for path in candidates:
        if path.exists():
            return path
    if "*" in value:  # as a managed data set's location on Vertex AI
        return _one_match(value, what)
    places = " or ".join(str(path) for path in candidates)
    raise MissingPartError(f"{what}: nothing at {places}", fix="mount it, or correct the path")


def _one_match(pattern: str, what: str) -> Path:
    root = Path(pattern).anchor
    found = sorted(Path(root).glob(str(Path(pattern).relative_to(root))))
    if len(found) == 1:
        return found[0]
    raise MissingPartError(
        f"{what}: {len(found)} files match {pattern}", fix="name one file, or a folder with one"
    )


def _named(name: str, folder: Path, role: str) -> Path:
    """Return a role's file; of a folder, the one that it holds."""
    path = find(name, f"data.{role}_file", folder)
    if not path.is_dir():
        return path
    return _first(path, EVAL_NAMES if role == "eval" else TRAIN_NAMES) or _only(path, None, role)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _only(folder: Path, evaluation: Path | None, role: str = "train") -> Path:
    files = sorted(path for path in folder.glob("*.jsonl") if path != evaluation)
    if len(files) == 1:
        return files[0]
    found = f"{len(files)} .jsonl files" if files else "no .jsonl file"
    fix = f"name one in data.{role}_file" if files else f"put {role}.jsonl there"
    raise MissingPartError(f"{folder}: {found} and no {role}.jsonl", fix=fix)
