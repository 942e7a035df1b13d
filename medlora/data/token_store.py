"""The tokens of all rows of a file: in a folder that proves itself, mapped and not loaded.

N rows with T tokens and L runs of tokens that carry loss.  The folder holds

    rows            what a row has: tokens, runs, line, keys that it must not share across a split
    ids             the tokens of all rows, one after the other
    runs            where loss begins and ends, for all rows
    manifest.json   the key that it was made for, how to read the rest, every file's SHA-256
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlora.data.piece_encoder import ROW, RUN, Block
from medlora.errors import StorageError
from medlora.files import (
    MANIFEST,
    DamagedError,
    NewFolder,
    read_stated,
    sha256_file,
    write_manifest,
)

FORMAT = 3
_NAMES = ("rows", "ids", "runs")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TokenTable:
    """The tokens of all rows, uncut, in the order of the file."""

    rows: NDArray[np.void]  # ROW [N]
    ids: NDArray[np.unsignedinteger]  # [T]
    runs: NDArray[np.int32]  # [L, 2]
    starts: NDArray[np.int64]  # [N + 1]: where a row's ids begin, and end
    run_starts: NDArray[np.int64]  # [N + 1]

    @classmethod
    def of(
        cls, rows: NDArray[np.void], ids: NDArray[np.unsignedinteger], runs: NDArray[np.int32]
    ) -> "TokenTable":
        """Return a table of these arrays."""
        return cls(rows, ids, runs, _starts(rows["tokens"]), _starts(rows["runs"]))

    def __len__(self) -> int:
        return len(self.rows)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


@dataclass(slots=True)
class TokenWriter:
    """Appends blocks to a folder that is being made."""

    folder: NewFolder
    ids: np.dtype[np.unsignedinteger]

    def write(self, blocks: Iterable[Block], facts: dict[str, Any]) -> None:
        """Write all blocks, then the manifest that vouches for them.

        Args:
            blocks: in the order of the file.
            facts: JSON values that the manifest states as well.
        """
        forms, changes = Counter[str](), Counter[str]()
        for name in _NAMES:
            self.folder.append(name, b"")
        for block in blocks:
            for name in _NAMES:
                self.folder.append(name, getattr(block, name).tobytes())
            forms.update(block.forms)
            changes.update(block.changes)
        counted = {"forms": dict(sorted(forms.items())), "changes": dict(sorted(changes.items()))}
        stated = {"ids": self.ids.str, **counted}
        write_manifest(self.folder, {"format": FORMAT, **facts, **stated})


def read_tokens(folder: Path, *, key: str) -> tuple[TokenTable, dict[str, Any]]:
    """Return a folder's tokens, mapped, and its manifest, after checking every byte.

    Raises:
        DamagedError: something is not as it was written.
    """
    manifest = proved(folder, _NAMES, key=key)
    table = TokenTable.of(
        mapped(folder / "rows", ROW),
        mapped(folder / "ids", np.dtype(manifest["ids"])),
        mapped(folder / "runs", RUN).reshape(-1, 2),
    )
    return table, manifest


def proved(folder: Path, names: Sequence[str], *, key: str) -> dict[str, Any]:
    """Return a folder's manifest after checking that it is for this key, and every byte.

    Raises:
        DamagedError: something is not as it was written.
    """
    manifest = read_stated(folder / MANIFEST)
    if manifest.get("key") != key:
        raise DamagedError("it was made from other data, another tokenizer or other settings")
    for name in names:
        try:
            digest = sha256_file(folder / name)
        except StorageError as error:
            raise DamagedError(error.headline) from None
        if digest != manifest["files"].get(name):
            raise DamagedError(f"{name} was changed")
    return manifest


def mapped(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return a file as an array that is read when it is looked at."""
    if path.stat().st_size == 0:  # nothing can be mapped
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r")
