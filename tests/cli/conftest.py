"""A bucket, for commands that fetch."""

from tests.storage.conftest import s3, s3_server

__all__ = ["s3", "s3_server"]
