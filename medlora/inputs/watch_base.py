"""A base's files, watched from before they are hashed until the result is written.

Weights are mapped, not copied: whoever writes into such a file changes the model of a run that has
stated its digest.  A file that another one takes the place of is no harm once it is mapped.
"""

import os
from contextlib import suppress
from pathlib import Path

from medlora.errors import StorageError
from medlora.model.folder import loaded_files

_Signature = tuple[int, int, int, int]


class Steady:
    """Knows the files that a base is loaded from as they are now, and keeps them open.

    Args:
        folder: of the base model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}
        self._names = loaded_files(folder)
        for name in self._names:
            with suppress(OSError):  # whoever needs it tells what is wrong with it
                self._open[name] = os.open(folder / name, os.O_RDONLY)
        self._before = {name: _signature(os.fstat(file)) for name, file in self._open.items()}

    def check_loaded(self) -> None:
        """Refuse a base that is not the one that was hashed; call it when all is mapped.

        Raises:
            StorageError: one of them changed, another took its place, or there is one more.
        """
        for name in self._open:
            try:
                now = _signature((self._folder / name).stat())
            except OSError:
                now = None
            if now != self._before[name]:
                raise self._changed(name)
        # A whole file of weights goes before an index, a template of its own before the config's.
        for name in loaded_files(self._folder):
            if name not in self._names:
                raise self._changed(name, "appeared while the base was read")

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

    def _changed(self, name: str, what: str = "changed while it was used") -> StorageError:
        return StorageError(
            f"{self._folder / name}: {what}",
            fix="run it again once nobody changes it; checkpoints saved before are intact",
        )


def _signature(facts: os.stat_result) -> _Signature:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
