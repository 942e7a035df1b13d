"""Tokens that were made once: kept in a folder, found by what they were made from.

The key is a digest of all that decides the tokens: the content of the file, the tokenizer, the
chat template, the form and the columns, the versions of the libraries.  Neither a limit nor a
split is in it, for both are applied on opening.

Several runs may share the folder.  Each makes its own copy of what is missing; the first to be
done gives it its name.  A lock in each entry tells who uses it, and the kernel releases it when
its holder dies.
"""

import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from medlora.config import DataConfig
from medlora.data.chat.chat import Chat
from medlora.data.token_store import FORMAT, TokenTable, read_tokens
from medlora.errors import StorageError
from medlora.files import (
    LOCK,
    TEMPORARY,
    DamagedError,
    Lock,
    NewFolder,
    locked,
    make_folder,
    new_folder,
    remove,
    sha256_bytes,
    sha256_json,
)
from medlora.logs import logger

_log = logger(__name__)
_KEEP = 4  # entries: those of two runs with an evaluation file each
_ATTEMPTS = 3  # to make an entry that proves itself, or that nobody deletes at once
_LIBRARIES = ("jinja2", "tokenizers", "transformers")
Table = TypeVar("Table")
_Table_co = TypeVar("_Table_co", covariant=True)


class Read(Protocol[_Table_co]):
    """Reads a folder of the cache."""

    def __call__(self, folder: Path, *, key: str) -> tuple[_Table_co, dict[str, Any]]:
        """Return its table and its manifest, or raise DamagedError."""


def key_of(sha256: str, read_as: Sequence[str], chat: Chat, cfg: DataConfig) -> str:
    """Return the key of a file's tokens: 64 hexadecimal digits.

    Args:
        sha256: digest of the file's content.
        read_as: what else decides its rows.
        chat: the tokenizer as it was loaded, with its template.
        cfg: the data section; what does not change an uncut token is left out.
    """
    tokenizer = chat.tokenizer
    parts = {
        "format": FORMAT,
        "data": sha256,
        "read_as": list(read_as),
        "tokenizer": sha256_bytes(tokenizer.backend_tokenizer.to_str().encode()),
        "class": type(tokenizer).__name__,
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "split_special_tokens": bool(tokenizer.split_special_tokens),
        "chat": chat.decides,
        "form": cfg.format,
        "columns": cfg.columns.model_dump(),
        "group_by": cfg.group_by,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    return sha256_json(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Generic[Table]):
    """What the cache holds; nobody deletes it while the table is in use."""

    table: Table
    manifest: dict[str, Any]
    made: bool  # just now


def open_tokens(root: Path, key: str, make: Callable[[NewFolder], None]) -> Entry[TokenTable]:
    """Return the tokens of a key; see `open_entry`.

    Args:
        root: the folder of the cache.
        key: what `key_of` returned.
        make: writes a folder that `read_tokens` takes.
    """
    return open_entry(root, key, make, read_tokens)


def open_entry(
    root: Path, key: str, make: Callable[[NewFolder], None], read: Read[Table]
) -> Entry[Table]:
    """Return what is kept for a key, made first if it is not there or is damaged.

    Args:
        root: the folder of the cache; for the group alone, it holds what the records say.
        key: a digest of all that decides the content.
        make: writes a folder that `read` takes.
        read: returns a folder's table and manifest, or raises DamagedError.

    Raises:
        StorageError: the disk is full, cannot be written, or does not keep what is written.
    """
    make_folder(root, private=True)
    _tidy(root)
    for attempt in range(_ATTEMPTS):
        contents = _open(root / key, key, read)
        if contents:
            return Entry(*contents, made=attempt > 0)
        _make(root / key, make)
    raise StorageError(f"{root}: what was written cannot be read back", fix="check the disk")


def _open(folder: Path, key: str, read: Read[Table]) -> tuple[Table, dict[str, Any]] | None:
    """Return an entry that proves itself; one that does not is deleted."""
    with locked(folder.parent):
        if not folder.is_dir():
            return None
        holder = _hold(folder)
    try:
        table, manifest = read(folder, key=key)
    except DamagedError as error:
        holder.close()
        _log.warning("%s/%s is damaged (%s): rebuilt", folder.parent.name, key[:12], error)
        with locked(folder.parent):
            if folder.is_dir():
                remove(folder)
        return None
    weakref.finalize(table, holder.close)
    return table, manifest


def _make(folder: Path, make: Callable[[NewFolder], None]) -> None:
    """Make an entry, unless somebody is faster."""
    with ExitStack() as stack:
        with locked(folder.parent):
            new = stack.enter_context(new_folder(folder))
            stack.callback(_hold(new.path).close)
        make(new)


def _tidy(root: Path) -> None:
    """Delete what nobody makes or uses: broken-off attempts, and all but the latest entries."""
    with locked(root):
        folders = [path for path in root.iterdir() if path.is_dir()]
        broken_off = [path for path in folders if path.name.startswith(TEMPORARY)]
        entries = [path for path in folders if not path.name.startswith(".")]
        entries.sort(key=_used_at, reverse=True)
        for folder in [*broken_off, *entries[_KEEP:]]:
            try:
                if not _in_use(folder):
                    remove(folder)
            except StorageError as error:  # it may be another user's; it is in nobody's way
                _log.warning("old cache entries could not be deleted: %s", error.headline)


def _used_at(folder: Path) -> float:
    lock = folder / LOCK
    return lock.stat().st_mtime if lock.exists() else 0.0


def _in_use(folder: Path) -> bool:
    with Lock(folder) as lock:
        return not lock.take_if_free()


def _hold(folder: Path) -> Lock:
    """Mark a folder as used, now, until the lock that is returned is closed."""
    lock = Lock(folder)
    lock.take(shared=True)
    with suppress(PermissionError):  # another user's file of our group: an older date is fine
        lock.touch()
    return lock
