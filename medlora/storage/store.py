"""The objects below one location: list, get, put, remove; each call retried by the library."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlora.storage.location import Location
from medlora.storage.service import connect, service_errors

_MD5 = re.compile(r"[0-9a-f]{32}")
_AT_ONCE = 4  # files; the libraries part a large one further
_VERSIONS = ("ETag", "etag", "generation", "mtime", "created")


@dataclass(frozen=True, slots=True)
class Object:
    """What a listing tells of an object; a version is never seen again with another content."""

    size: int
    version: str
    md5: str | None  # as far as the service states it; an encrypted object's may be another number


class Store:
    """What is below one location.

    Args:
        location: of the folder, or of one object.
        filesystem: fsspec's; the location's own service where it is None.
    """

    def __init__(self, location: Location, filesystem: Any = None) -> None:  # noqa: ANN401
        self.location = location
        self.service = filesystem if filesystem is not None else connect(location)

    def below(self, name: str) -> "Store":
        """Return the store of a folder in this one, over the same connection."""
        return Store(self.location / name, self.service)

    def objects(self, name: str = "", *, opening: bool = False) -> dict[str, Object]:
        """Return {relative name: object} of all that is below; the object itself is called "".

        Args:
            name: a folder in this one, whose objects alone are wanted.
            opening: whether this is the first use of the location.

        Raises:
            MedloraError: see `service_errors`.
        """
        place = self._path(name)
        with service_errors(self.location, opening=opening):
            self.service.invalidate_cache()
            listing = self.service.find(place, detail=True)
        return {
            path.removeprefix(place).lstrip("/"): _object(facts)
            for path, facts in ((path.lstrip("/"), facts) for path, facts in listing.items())
            if facts.get("type") == "file" and not path.endswith("/")
        }

    def check(self) -> None:
        """Refuse a location that cannot be looked at; it may be empty.

        Raises:
            MissingPartError: no credentials, no rights, no bucket, no network.
        """
        with service_errors(self.location, opening=True):
            self.service.invalidate_cache()
            try:
                self.service.ls(self.location.path, detail=False)
            except FileNotFoundError as error:
                if error.__cause__ and "NoSuchBucket" in str(error.__cause__):
                    raise

    def read(self, name: str) -> bytes | None:
        """Return a small object's content, None where it is not there."""
        with service_errors(self.location / name):
            try:
                content: bytes = self.service.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return content

    def get(self, name: str, into: Path) -> None:
        """Copy an object into a local file."""
        with service_errors(self.location / name):
            self.service.get_file(self._path(name), str(into))

    def put(self, source: Path, name: str) -> None:
        """Copy a local file to an object, which appears whole or not at all."""
        with service_errors(self.location / name):
            self.service.put_file(str(source), self._path(name))

    def write(self, name: str, content: bytes, *, opening: bool = False) -> None:
        """Write a small object."""
        with service_errors(self.location / name, opening=opening):
            self.service.pipe_file(self._path(name), content)

    def copy(self, name: str, other: str) -> None:
        """Copy an object to another name, without its content passing here."""
        with service_errors(self.location / name):
            self.service.cp_file(self._path(name), self._path(other))

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        with service_errors(self.location / name), suppress(FileNotFoundError):
            self.service.rm_file(self._path(name))

    def remove(self, names: Iterable[str]) -> None:
        """Delete objects one after the other, in their order."""
        for name in names:
            self.delete(name)

    def _path(self, name: str) -> str:
        return f"{self.location.path}/{name}" if name else self.location.path


def at_once(work: Callable[[str], object], names: Iterable[str]) -> None:
    """Do something to several objects, a few at a time; the first failure ends it."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="storage") as pool:
        try:
            for _ in pool.map(work, names):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _object(facts: Mapping[str, Any]) -> Object:
    version = next((str(facts[name]) for name in _VERSIONS if facts.get(name)), "")
    return Object(int(facts["size"]), version.strip('"'), _md5(facts))


def _md5(facts: Mapping[str, Any]) -> str | None:
    """Return the MD5 that S3 or Cloud Storage states, None where it states none."""
    if facts.get("md5Hash"):
        return base64.b64decode(facts["md5Hash"]).hex()
    tag = str(facts.get("ETag", "")).strip('"')
    return tag if _MD5.fullmatch(tag) else None
