"""A real S3 protocol server on loopback, and buckets on it."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from medlora.storage.location import parse
from medlora.storage.store import Store
from tests.tough import outcome_of, tough_plan

__all__ = ["outcome_of", "tough_plan"]  # fixtures of whole runs

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass(frozen=True)
class S3:
    """A bucket of a test's own, and the server's address."""

    endpoint: str
    bucket: str

    def store(self, path: str = "") -> Store:
        """A folder of the bucket, over a connection of its own."""
        return Store(parse(self.url(path), "test"))

    def url(self, path: str = "") -> str:
        """The folder's URL."""
        return f"s3://{self.bucket}/{path}".rstrip("/")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of moto's server."""
    pytest.importorskip("moto.server")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


_buckets = iter(range(10**6))


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty bucket, and the variables that lead to it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    bucket = S3(s3_server, f"bucket-{next(_buckets)}")
    bucket.store().service.mkdir(bucket.bucket)
    return bucket
