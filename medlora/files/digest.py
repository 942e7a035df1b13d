"""SHA-256 digests of files, and of what is about to be one."""

import hashlib
from pathlib import Path
from typing import Any

from medlora.files.errors import storage_errors

_CHUNK_BYTES = 1 << 20


def sha256_file(path: Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits.

    Raises:
        StorageError: the file cannot be read.
    """
    digest: str = digest_of(path).hexdigest()
    return digest


def digest_of(path: Path) -> Any:  # noqa: ANN401  (hashlib's own type has no public name)
    """Return hashlib's SHA-256 object, which has taken all of a file."""
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_files(folder: Path) -> dict[str, str]:
    """Return {relative path: SHA-256} of every file below a folder, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
