"""Text of other encodings as UTF-8, and which encoding a file has that is not what it should be."""

import codecs
import io
from typing import Any, BinaryIO

from medlora.data.problems import Problem, StopReadingError

UTF8 = "utf-8"
_CHUNK = 1 << 20
_WESTERN = "windows-1252"  # what spreadsheets write in Western Europe and America
_SHARE = 0.4  # of the bytes of UTF-16 that are zero, where letters are mostly Latin


def utf16_of(head: bytes) -> str | None:
    """Return the UTF-16 that a file is in by its first bytes, None where it is not.

    Source: Unicode 16, section 23.8 (byte order marks).
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first, second = head[0::2].count(0), head[1::2].count(0)
    if (first and second) or max(first, second) <= _SHARE * len(head) / 2:
        return None
    return "utf-16-le" if second else "utf-16-be"


class AsUtf8(io.RawIOBase):
    """Passes text on as UTF-8.

    Raises:
        StopReadingError: on reading, where a byte stands for nothing in the encoding, or where the
            file is in another one.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._utf8 = codecs.getincrementaldecoder(UTF8)()  # whether it is that all the same
        self._ready, self._ended = b"", False
        self._passed = self._line_start = self._lines = 0  # of what was read before: bytes, lines
        self._checks = True
        self._has_more_than_ascii = False

    def readable(self) -> bool:
        """Tell that it is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (a buffer has no public type yet)
        """Fill a buffer; 0 at the end."""
        while not self._ready and not self._ended:
            content = self._stream.read(_CHUNK)
            self._ended = not content
            self._ready = self._checked(content) if self._encoding == UTF8 else self._text(content)
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _checked(self, content: bytes) -> bytes:
        """Return UTF-8 as it is, looked at until it is proved to be that.

        Of what is not UTF-8 in a few places, whoever reads the line tells.
        """
        if self._checks and not (content and content.isascii() and not self._decoder.getstate()[0]):
            try:
                self._decoder.decode(content, final=not content)
            except UnicodeDecodeError as error:
                self._checks = False
                if not _has_utf8(error.object):
                    raise StopReadingError(self._foreign(error, content)) from None
            self._checks = self._checks and not _has_utf8(content)
        if self._checks:
            self._count(content)
        return content

    def _count(self, content: bytes) -> None:
        self._lines += content.count(b"\n")
        last = content.rfind(b"\n")
        if last >= 0:
            self._line_start = self._passed + last + 1
        self._passed += len(content)

    def _foreign(self, error: UnicodeDecodeError, content: bytes) -> Problem:
        """Return where a file stops being UTF-8, and what it may be instead."""
        start = error.start - (len(error.object) - len(content))  # the last chunk's bytes go before
        before = content[: max(start, 0)]
        last = before.rfind(b"\n")
        begin = self._passed + last + 1 if last >= 0 else self._line_start
        line, byte = self._lines + before.count(b"\n") + 1, self._passed + start - begin + 1
        if _is(error.object[error.start :], _WESTERN):
            fix = f"Windows-1252 fits: set data.encoding={_WESTERN}, or save the file as UTF-8"
        else:
            fix = "save the file as UTF-8, or name its encoding in data.encoding"
        return Problem(line, f"byte {byte} of the line is not UTF-8", fix)

    def _text(self, content: bytes) -> bytes:
        """Return text of another encoding as UTF-8."""
        try:
            text = self._decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(self._encoding, errors="ignore")
            fault = f"byte 0x{error.object[error.start]:02x} is not a character in {self._encoding}"
            line = self._lines + before.count("\n") + 1
            raise StopReadingError(
                Problem(line, fault, "name the file's own encoding in data.encoding")
            ) from None
        except UnicodeError:  # UTF-16 and UTF-32, whose first bytes say which of two they are
            fault = f"the file is not {self._encoding}: it does not begin with a byte order mark"
            raise StopReadingError(
                Problem(0, fault, "name the file's own encoding in data.encoding")
            ) from None
        self._lines += text.count("\n")
        self._refuse_utf8(content)
        return text.encode()

    def _refuse_utf8(self, content: bytes) -> None:
        """Raise at the end of a file that was UTF-8 all along: its letters would be two each."""
        if not self._checks:
            return
        self._has_more_than_ascii = self._has_more_than_ascii or not content.isascii()
        try:
            self._utf8.decode(content, final=not content)
        except UnicodeDecodeError:
            self._checks = False
            return
        if not content and self._has_more_than_ascii:
            fault = f"the file is UTF-8, and data.encoding says {self._encoding}"
            raise StopReadingError(Problem(0, fault, "unset data.encoding"))


def _has_utf8(content: bytes) -> bool:
    """Tell whether any character of several bytes is UTF-8."""
    return not content.decode(errors="ignore").isascii()


def _is(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
