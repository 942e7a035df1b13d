"""A file's content as a stream: decompressed while it is read, the file's own bytes digested."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from medlora.data.formats.encoding import UTF8, AsUtf8
from medlora.data.formats.pyarrow_import import arrow
from medlora.data.size_limits import most_of_archive, refuse_bomb
from medlora.files import storage_errors

_CHUNK = 1 << 20
HEAD = 4096  # bytes by which a file is known


class BrokenError(Exception):
    """A compressed file ends too early, or is none."""


class _Digested(io.RawIOBase):
    """Passes a file's bytes on and digests them."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (a buffer has no public type yet)
        content = self.file.read(len(buffer))
        buffer[: len(content)] = content
        self.digest.update(content)
        return len(content)


class _Unpacked(io.RawIOBase):
    """Passes on what a decompressor gives; whatever it may raise is one error here.

    Args:
        packed: of one of two libraries.
        most: bytes; an archive that gives more is a bomb.
    """

    def __init__(self, packed: Any, *, most: int) -> None:  # noqa: ANN401
        self.packed, self.most, self.given = packed, most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        try:
            content = self.packed.read(len(buffer))
        except (EOFError, zlib.error) as error:
            raise BrokenError from error
        except OSError as error:
            if error.errno is None:  # the library's own, not the system's
                raise BrokenError from error
            raise
        self.given += len(content)
        refuse_bomb(self.given, most=self.most)
        buffer[: len(content)] = content
        return len(content)


class Opened:
    """A stream of a file's text, as UTF-8; at its end `sha256` is the digest of the file itself."""

    def __init__(self, raw: BinaryIO, compression: str | None, encoding: str) -> None:
        self._digested = _Digested(raw)
        self._whole = io.BufferedReader(self._digested, _CHUNK)
        self._unpacked: io.BufferedReader[Any] = self._whole
        if compression:
            packed = (
                gzip.GzipFile(fileobj=self._whole)
                if compression == "gzip"
                else arrow().CompressedInputStream(self._whole, "zstd")
            )
            most = most_of_archive(os.fstat(raw.fileno()).st_size)
            self._unpacked = io.BufferedReader(_Unpacked(packed, most=most), _CHUNK)
        self.stream: BinaryIO = io.BufferedReader(AsUtf8(self._unpacked, encoding), _CHUNK)

    def head(self) -> bytes:
        """Return the first bytes, unpacked, before they are taken for text."""
        return self._unpacked.peek(HEAD)[:HEAD]

    def sha256(self) -> str:
        """Return the digest of the whole file, read to its end."""
        while self._whole.read(_CHUNK):
            pass
        return self._digested.digest.hexdigest()


@contextmanager
def opened(file: Path, compression: str | None, encoding: str = UTF8) -> Iterator[Opened]:
    """Open a file that is compressed, or None, and whose text is in an encoding.

    Raises:
        StorageError: it cannot be read.
        MissingPartError: a library is not installed.
    """
    with storage_errors(file), file.open("rb") as raw:
        yield Opened(raw, compression, encoding)


def head_of(stream: BinaryIO) -> bytes:
    """Return the first bytes of a stream of text, which stay to be read."""
    peek: Callable[[int], bytes] = stream.peek  # type: ignore[attr-defined]  # it is buffered
    return peek(HEAD)[:HEAD]
