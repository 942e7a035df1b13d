"""The list of digests that a base model may be carried with: SHA256SUMS."""

import os
import re
from pathlib import Path

from medlora.errors import DataError, IntegrityError
from medlora.files import storage_errors
from medlora.model.folder import TEMPLATES, check_inside

SUMS = "SHA256SUMS"
_LINE = re.compile(rf"([0-9a-f]{{64}}) [ *]((?:{TEMPLATES}/)?[^/\0]+)")


def check_sums(folder: Path, digests: dict[str, str]) -> None:
    """Refuse a base that is not what its list of digests states, if it has one.

    Args:
        folder: of the base.
        digests: {file name: SHA-256} of what decides what it computes.

    Raises:
        IntegrityError: a file is another.
        MissingPartError: the list is no file of the folder.
    """
    if not os.path.lexists(folder / SUMS):
        return
    check_inside(folder, [SUMS])
    try:
        stated = read_sums(folder / SUMS)
    except DataError:  # somebody else's, in a form of their own
        return
    wrong = [name for name, digest in digests.items() if stated.get(name, digest) != digest]
    if wrong:
        raise IntegrityError(
            f"{folder}: {', '.join(wrong)}: not what {SUMS} states",
            fix="run medlora model-verify on it, and transfer it again",
        )


def read_sums(file: Path) -> dict[str, str]:
    """Return {file name: SHA-256} of a list of digests.

    Raises:
        DataError: a line is something else.
    """
    with storage_errors(file):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    stated = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if not match or match[2] in ("..", "."):
            raise DataError(
                f"{file}:{number}: not a SHA-256 and a file name",
                fix="transfer the folder again",
            )
        stated[match[2]] = match[1]
    return stated
