"""The one package that writes: whole files and folders or none, and the digests that prove them."""

from medlora.files.digest import sha256_bytes, sha256_file, sha256_files
from medlora.files.disk import disk
from medlora.files.errors import (
    ForbiddenError,
    TakenError,
    check_space,
    owner_of,
    storage_errors,
)
from medlora.files.file import (
    append_bytes,
    append_line,
    make_link,
    new_file,
    read_named,
    received_file,
    write_bytes,
    write_new,
)
from medlora.files.folder import NewFolder, make_folder, new_folder, received_folder, write_folder
from medlora.files.json_text import json_bytes, json_line, sha256_json
from medlora.files.lock import LOCK, Lock, locked
from medlora.files.self_proving_json import (
    MANIFEST,
    DamagedError,
    UnreadableError,
    manifest_bytes,
    proven_bytes,
    read_proven,
    read_stated,
    unreadable,
    write_manifest,
)
from medlora.files.sweep import REPLACED, TEMPORARY, remove, rename, sweep

__all__ = [
    "LOCK",
    "MANIFEST",
    "REPLACED",
    "TEMPORARY",
    "DamagedError",
    "ForbiddenError",
    "Lock",
    "NewFolder",
    "TakenError",
    "UnreadableError",
    "append_bytes",
    "append_line",
    "check_space",
    "disk",
    "json_bytes",
    "json_line",
    "locked",
    "make_folder",
    "make_link",
    "manifest_bytes",
    "new_file",
    "new_folder",
    "owner_of",
    "proven_bytes",
    "read_named",
    "read_proven",
    "read_stated",
    "received_file",
    "received_folder",
    "remove",
    "rename",
    "sha256_bytes",
    "sha256_file",
    "sha256_files",
    "sha256_json",
    "storage_errors",
    "sweep",
    "unreadable",
    "write_bytes",
    "write_folder",
    "write_manifest",
    "write_new",
]
