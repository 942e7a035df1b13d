"""JSON as it is written here: indented for people, in lines for logs, canonical for digests."""

import json
from typing import Any

from medlora.files.digest import sha256_bytes


def json_bytes(value: Any) -> bytes:  # noqa: ANN401  (any JSON value)
    """Return a JSON value as we write it: indented, UTF-8, one newline at the end."""
    return _utf8(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_line(value: Any) -> bytes:  # noqa: ANN401  (any JSON value)
    """Return a JSON value as a line of JSON Lines."""
    return _utf8(json.dumps(value, ensure_ascii=False) + "\n")


def sha256_json(value: Any) -> str:  # noqa: ANN401  (any JSON value)
    """Return the SHA-256 of a JSON value in its canonical form: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_bytes(_utf8(text))


def _utf8(text: str) -> bytes:
    """Return JSON as bytes; a byte of a file's name that is no UTF-8 is an escape of JSON's own."""
    return text.encode(errors="backslashreplace")
