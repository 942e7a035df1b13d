"""`medlora model-pack` and `model-verify`: carry a base model to a place without a network.

The list of digests is a plain SHA256SUMS, so that `sha256sum -c` reads it too.  Its own SHA-256
vouches for all: told by another way than the folder travels, it shows a list that was swapped.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from medlora.errors import IntegrityError, MissingPartError, StorageError, listed
from medlora.files import new_folder, sha256_bytes, sha256_file, storage_errors
from medlora.logs import show
from medlora.model.file_names import CONFIG
from medlora.model.folder import TEMPLATES, check_inside
from medlora.model.sums import SUMS, read_sums

_CARRIED = (
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "*.md",
    "LICEN[CS]E*",
    "NOTICE*",
    "USE_POLICY*",
)
_CHUNK_BYTES = 1 << 24


def pack(source: Path, target: Path) -> None:
    """Copy what a run needs of a base model into a new folder, with the digest of every file.

    Weights that are pickled and code stay behind; what does is told.

    Raises:
        MissingPartError: the folder holds no model in safetensors.
        StorageError: the copy is there already, or cannot be written.
    """
    with storage_errors(source):
        names = sorted(path.name for path in source.iterdir()) if source.is_dir() else []
        inner = [f"{TEMPLATES}/{path.name}" for path in (source / TEMPLATES).glob("*.jinja")]
    carried = [name for name in names if name != SUMS and _is_carried(source / name)]
    carried += sorted(inner)
    if CONFIG not in carried or not any(n.endswith(".safetensors") for n in carried):
        raise MissingPartError(
            f"{source}: no base model (config.json and *.safetensors)",
            fix="name the folder that holds them",
        )
    if target.exists():
        raise StorageError(f"{target} exists already", fix="name a new folder")
    with new_folder(target) as folder:
        for name in carried:
            for chunk in _chunks(source / name):
                folder.append(name, chunk)
        digests = folder.sync()
        sums = "".join(f"{digests[name]}  {name}\n" for name in carried).encode()
        folder.append(SUMS, sums)
    for name in names:
        if name not in carried and not (name == TEMPLATES and inner):
            show(f"left out  {name}")
    show(f"packed {len(carried)} files of {source} into {target}")
    show(f"SHA-256 of SHA256SUMS: {sha256_bytes(sums)}")
    show(
        f"at the destination, verify it: medlora model-verify {target.name} "
        f"--expect {sha256_bytes(sums)}"
    )


def verify(folder: Path, *, expect: str | None = None) -> None:
    """Check every file of a packed model; print a line for each.

    Args:
        folder: what `pack` wrote, wherever it is now.
        expect: SHA-256 of its list, as it was told.

    Raises:
        IntegrityError: a file is missing, was changed or added; or the list was.
        MissingPartError: there is no list, or it is no file of the folder.
    """
    file = folder / SUMS
    if not file.is_file():
        raise MissingPartError(f"{folder}: no {SUMS}", fix="name a folder of medlora model-pack")
    check_inside(folder, [SUMS])
    digest = sha256_file(file)
    problems = []
    if expect and expect.lower() != digest:
        problems.append(f"{SUMS}: its SHA-256 is {digest}, not {expect}")
    stated = read_sums(file)
    for name, digest in stated.items():
        wrong = _problem(folder / name, digest)
        show(f"{'DAMAGED ' if wrong else 'ok      '} {name}")
        if wrong:
            problems.append(f"{name}: {wrong}")
    with storage_errors(folder):
        found_files = [path for path in folder.rglob("*") if not path.is_dir()]
    others = {str(path.relative_to(folder)) for path in found_files} - stated.keys() - {SUMS}
    problems += [f"{name}: not in the list" for name in sorted(others)]
    if problems:
        raise IntegrityError(
            listed(problems, what=f"{folder} is not what was packed"),
            fix="do not use it; transfer it again",
        )
    show(f"SHA-256 of SHA256SUMS: {digest}{', as expected' if expect else ''}")


def _is_carried(path: Path) -> bool:
    return path.is_file() and any(fnmatch(path.name, pattern) for pattern in _CARRIED)


def _problem(path: Path, digest: str) -> str | None:
    if not path.is_file():
        return "is missing"
    return None if sha256_file(path) == digest else "was changed"


def _chunks(path: Path) -> Iterator[bytes]:
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
