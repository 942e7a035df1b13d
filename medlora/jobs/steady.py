"""A base's files, watched from before they are hashed until the result is written.

Weights are mapped, not copied: whoever writes into such a file changes the model of a run that has
stated its digest.  A file that another one takes the place of is no harm once it is mapped.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from medlora.errors import StorageError

_Signature = tuple[int, int, int, int]


class Steady:
    """Knows a folder's files as they are now; the descriptors that it opens stay with it.

    Args:
        folder: of the base model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}
        for path in sorted(folder.rglob("*")):
            with suppress(OSError):  # whoever needs it tells what is wrong with it
                if path.is_file():
                    self._open[path.relative_to(folder).as_posix()] = os.open(path, os.O_RDONLY)
        self._before = {name: _signature(os.fstat(file)) for name, file in self._open.items()}

    def check_loaded(self, names: Iterable[str]) -> None:
        """Refuse a base that is not the one that was hashed; call it when all is mapped.

        Args:
            names: of the files that have a digest; others are forgotten.

        Raises:
            StorageError: one of them changed, or another took its place.
        """
        named = set(names)
        for name in [name for name in self._open if name not in named]:
            os.close(self._open.pop(name))
        for name in self._open:
            try:
                now = _signature((self._folder / name).stat())
            except OSError:
                now = None
            if now != self._before[name]:
                raise self._changed(name)

    def check(self) -> None:
        """Refuse to go on with a base that somebody has written into.

        Raises:
            StorageError: names the file.
        """
        for name, file in self._open.items():
            if _signature(os.fstat(file)) != self._before[name]:
                raise self._changed(name)

    def close(self) -> None:
        """Watch no longer."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _changed(self, name: str) -> StorageError:
        return StorageError(
            f"{self._folder / name}: changes while it is used",
            fix="start again once it rests; what was committed before is as it was",
        )


def _signature(facts: os.stat_result) -> _Signature:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
