#!/usr/bin/env python3
"""Compare the file trees of two images.

    compare_images.py A B [--all]

A and B are names of images, or archives that `docker save` wrote. Paths, kinds, modes, owners,
times, targets of links and contents are compared, each layer as it was saved; the first difference
is printed, or all of them. Exit code 0: none; 1: the trees differ; 2: usage; 69: no such image.
Needs Python and, for names, docker.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import IO

_CHUNK_BYTES = 1 << 20
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is compared of a file, a folder or a link."""

    kind: str
    mode: str
    owner: str
    time: int
    size: int
    target: str
    sha256: str


Tree = dict[str, Entry]


def differences(one: Tree, other: Tree) -> Iterator[str]:
    """Yield a line for each path that is not the same in both, in order."""
    for path in sorted(one.keys() | other.keys()):
        if path not in other:
            yield f"{path}: only in the first"
        elif path not in one:
            yield f"{path}: only in the second"
        elif one[path] != other[path]:
            pairs = zip(fields(Entry), astuple(one[path]), astuple(other[path]), strict=True)
            what = ", ".join(f"{field.name} {a} and {b}" for field, a, b in pairs if a != b)
            yield f"{path}: {what}"


def read_tree(stream: IO[bytes]) -> Tree:
    """Return the tree of an image from its archive: its layers, one on the other."""
    layers: dict[str, Tree] = {}
    deleted: dict[str, list[str]] = {}
    order: list[str] = []
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            if member.name == "manifest.json":
                order = json.load(file)[0]["Layers"]
            elif member.name.startswith("blobs/") or member.name.endswith("/layer.tar"):
                read = _read_layer(file)
                if read:
                    layers[member.name], deleted[member.name] = read
    tree: Tree = {}
    for name in order:
        for path in deleted[name]:
            inside = f"{path}/" if path else ""
            tree = {p: e for p, e in tree.items() if p != path and not p.startswith(inside or "\0")}
        tree |= layers[name]
    return tree


def _read_layer(file: IO[bytes]) -> tuple[Tree, list[str]] | None:
    """Return what a layer adds and what it deletes; None where a blob is no layer."""
    tree: Tree = {}
    gone: list[str] = []
    try:
        layer = tarfile.open(fileobj=file, mode="r|*")  # noqa: SIM115  (it may not open at all)
    except tarfile.ReadError:
        return None
    with layer:
        for member in layer:
            path = PurePosixPath(member.name)
            if path.name == _OPAQUE:
                gone.append(str(path.parent))
            elif path.name.startswith(_WHITEOUT):
                gone.append(str(path.with_name(path.name.removeprefix(_WHITEOUT))))
            else:
                tree[str(path)] = _entry(layer, member)
    return tree, gone


def _entry(layer: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    digest = hashlib.sha256()
    content = layer.extractfile(member) if member.isreg() else None
    while content and (chunk := content.read(_CHUNK_BYTES)):
        digest.update(chunk)
    return Entry(
        kind=member.type.decode(),
        mode=f"{member.mode:04o}",
        owner=f"{member.uid}:{member.gid}",
        time=int(member.mtime),
        size=member.size,
        target=member.linkname,
        sha256=digest.hexdigest() if content else "",
    )


@contextmanager
def saved(image: str) -> Iterator[IO[bytes]]:
    """Open an archive, or what docker saves of an image."""
    if Path(image).is_file():
        with Path(image).open("rb") as file:
            yield file
        return
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  (as it was asked for)
        yield process.stdout
        while process.stdout.read(_CHUNK_BYTES):  # what follows the end of the archive
            pass
        if process.wait():
            print(f"error: docker cannot save {image}\n  fix: build or load it", file=sys.stderr)
            sys.exit(69)


def main(arguments: list[str]) -> int:
    """Compare, and return the exit code."""
    names = [name for name in arguments if name != "--all"]
    if len(names) != 2:  # noqa: PLR2004
        print("usage: compare_images.py A B [--all]", file=sys.stderr)
        return 2
    trees = []
    for name in names:
        with saved(name) as stream:
            trees.append(read_tree(stream))
        print(f"{name}: {len(trees[-1])} paths")
    found = list(differences(*trees))
    print(f"{len(found)} differences")
    for line in found if "--all" in arguments else found[:1]:
        print(f"first: {line}" if "--all" not in arguments else line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
