"""Inputs from an object store: every object whole and verified before anything reads one.

A journal beside the copy tells what is here, with SHA-256 and the service's version, so that a
second start takes over what is whole and fetches the rest.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from medlora.errors import MissingPartError, StorageError
from medlora.files import (
    append_line,
    check_space,
    make_folder,
    received_file,
    remove,
    sha256_file,
    storage_errors,
)
from medlora.logs import logger
from medlora.storage.location import Location
from medlora.storage.store import Object, Store, at_once

_log = logger(__name__)
_JOURNAL, _CONTENT = "fetched.jsonl", "content"
_CHUNK_BYTES = 1 << 20
_GB = 1e9
# Weights in forms that are never read, because reading them can run code; often beside safetensors.
_NEVER_READ = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot")


def local_copy(location: Location, place: Path) -> Path:
    """Return where `fetch` puts a location's file or folder; it has the same last name."""
    return place / _CONTENT / location.name


def fetch(store: Store, place: Path) -> Path:
    """Bring an object, or a folder of them, here; return the local file or folder.

    Args:
        store: where they are.
        place: a folder for this location alone.

    Raises:
        MissingPartError: nothing is there, or it cannot be looked at.
        StorageError: no room here, the service failed, or what came is not what is there.
    """
    began, whole = time.monotonic(), local_copy(store.location, place)
    wanted = _wanted(store)
    make_folder(place, private=True)
    known = _kept(place, whole, wanted)
    missing = {name: stored for name, stored in wanted.items() if name not in known}
    check_space(
        place,
        sum(stored.size for stored in missing.values()),
        purpose=str(store.location),
        fix="mount a larger disk at /scratch, or name a folder on one in MEDLORA_WORK",
    )
    _log.info(
        "%s: %d files, %.2f GB%s",
        store.location,
        len(wanted),
        sum(stored.size for stored in wanted.values()) / _GB,
        f"; {len(known)} of them are here already" if known else "",
    )
    receiver = _Receiver(store, place, whole)
    for folder in sorted({_local(whole, name).parent for name in missing}):
        make_folder(folder)
    at_once(lambda name: receiver.take(name, missing[name]), sorted(missing))
    _check_unchanged(store, wanted)
    if missing:
        _log.info("%s: fetched in %.1f s", store.location, time.monotonic() - began)
    return whole


def _wanted(store: Store) -> dict[str, Object]:
    objects = store.objects(opening=True)
    wanted = {name: stored for name, stored in objects.items() if not name.endswith(_NEVER_READ)}
    left_out = len(objects) - len(wanted)
    if left_out:
        _log.info(
            "%s: %d files in formats that are never read are not fetched", store.location, left_out
        )
    if not wanted:
        raise MissingPartError(
            f"{store.location}: nothing is there", fix="correct the name, or copy the files there"
        )
    for name in wanted:
        if ".." in PurePosixPath(name).parts:  # legal in a bucket, and a way out of our folder
            raise StorageError(
                f"{store.location}: an object's name contains the part ..", fix="rename the object"
            )
    return wanted


class _Receiver:
    """Takes objects, and notes each that is here and proven."""

    def __init__(self, store: Store, place: Path, whole: Path) -> None:
        self._store, self._journal, self._whole = store, place / _JOURNAL, whole

    def take(self, name: str, stated: Object) -> None:
        """Fetch one object and note it."""
        with received_file(_local(self._whole, name)) as temporary:
            sha256 = self._bring(name, stated, temporary)
        line = {"name": name, "size": stated.size, "version": stated.version, "sha256": sha256}
        append_line(self._journal, json.dumps(line))

    def _bring(self, name: str, stated: Object, into: Path) -> str:
        """Fetch until the content is proven; return its SHA-256.

        S3's ETag is an MD5 only without KMS, which a listing does not tell: where it differs, two
        transfers that brought the same are the proof.
        """
        before = None
        for _ in range(3):
            self._store.get(name, into)
            size, md5, sha256 = _digests(into)
            if size == stated.size and (stated.md5 in {None, md5} or sha256 == before):
                return sha256
            before = sha256 if size == stated.size else None
        raise StorageError(
            f"{self._store.location / name if name else self._store.location}: the "
            "download did not match the stored object, three times in a row",
            fix="upload it again, and make sure that nothing else writes there",
        )


def _digests(path: Path) -> tuple[int, str, str]:
    size, md5, sha256 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            md5.update(chunk)
            sha256.update(chunk)
    return size, md5.hexdigest(), sha256.hexdigest()


def _local(whole: Path, name: str) -> Path:
    return whole / name if name else whole


def _kept(place: Path, whole: Path, wanted: Mapping[str, Object]) -> set[str]:
    """Return which objects are here already, proven anew; delete what does not belong here."""
    noted: dict[str, dict[str, Any]] = {}
    if (place / _JOURNAL).is_file():
        with storage_errors(place / _JOURNAL):
            lines = (place / _JOURNAL).read_bytes().splitlines()
        for line in lines:
            entry = _entry(line)
            noted[entry.get("name", "")] = entry
    kept = {
        name for name, stored in wanted.items() if _is_here(noted.get(name), whole, name, stored)
    }
    content = place / _CONTENT
    for path in sorted(content.rglob("*")) if content.is_dir() else ():
        if path.is_file() and path not in {_local(whole, name) for name in kept}:
            remove(path)
    return kept


def _entry(line: bytes) -> dict[str, Any]:
    """Return a line of the journal, {} for the half of one that a crash left."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _is_here(entry: dict[str, Any] | None, whole: Path, name: str, stated: Object) -> bool:
    path = _local(whole, name)
    if not entry or (entry.get("size"), entry.get("version")) != (stated.size, stated.version):
        return False
    return path.is_file() and sha256_file(path) == entry.get("sha256")


def _check_unchanged(store: Store, wanted: Mapping[str, Object]) -> None:
    """Refuse a mixture of two states: nobody may have written there meanwhile."""
    now = store.objects()
    changed = sorted(name for name, stored in wanted.items() if now.get(name) != stored)
    if changed:
        raise StorageError(
            f"{store.location}: {len(changed)} files changed while they were fetched, first "
            f"{changed[0] or store.location.name}",
            fix="run it again once nobody writes there: complete copies are reused",
        )
