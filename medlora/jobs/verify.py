"""`medlora verify`: every byte of a run against the digests that its manifests state."""

import os
from collections.abc import Iterator
from pathlib import Path

from medlora.checkpoint.beyond_digests import is_proven, prove
from medlora.checkpoint.names import BEST, ENDS, is_ours, is_resumable
from medlora.checkpoint.resume import newest_proven
from medlora.errors import IntegrityError, MissingPartError, StorageError, listed
from medlora.files import MANIFEST, DamagedError, UnreadableError, sha256_file, storage_errors
from medlora.logs import show
from medlora.runs import written
from medlora.runs.lost_files import Best, lost_best, source_of_best, stated_best

_HIDDEN = (".", "broken-")  # half-written, or set aside with a line of its own
Problems = dict[str, DamagedError]


def run(folder: Path) -> None:
    """Check all that a run says it wrote; print a line for each folder.

    Args:
        folder: the run's folder, or one folder with a manifest.

    Raises:
        IntegrityError: something is not as it was written.
        StorageError: what could be read is, and the rest could not be read.
        MissingPartError: there is nothing to check.
    """
    with storage_errors(folder):
        places = _places(folder)
    problems = {place.name: error for place in places if (error := _check(place))}
    if places != [folder]:
        problems |= _lost(folder, {place.name for place in places} - problems.keys())
    if not places and not problems:
        raise MissingPartError(
            f"{folder}: no folder with a {MANIFEST}", fix="name a run's folder or its final/"
        )
    _refuse(folder, problems)


def _refuse(folder: Path, problems: Problems) -> None:
    lines = [f"{name}: {error}" for name, error in problems.items()]
    if not lines:
        return
    if all(isinstance(error, UnreadableError) for error in problems.values()):
        raise StorageError(
            listed(lines, what=f"{folder} cannot be read"),
            fix="check it as its owner, or make it readable for this user",
        )
    raise IntegrityError(
        listed(lines, what=f"{folder} differs from what was written"),
        fix="; ".join(dict.fromkeys(_ways(folder, problems))),
    )


def _places(folder: Path) -> list[Path]:
    """Return what has to have a manifest, or has one; what trackers and people left has none."""
    if (folder / MANIFEST).exists() or (folder.is_symlink() and is_ours(folder.name)):
        return [folder]
    if not folder.is_dir():
        return []
    places = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(_HIDDEN) or not (path.is_dir() or path.is_symlink()):
            continue
        if is_ours(path.name) or os.access(path / MANIFEST, os.F_OK):
            places.append(path)
        else:
            show(f"other    {path.name}: listed by no manifest")
    return places


def _check(place: Path) -> DamagedError | None:
    """Print a folder's line; return what is wrong with it."""
    try:
        manifest = prove(place)
    except UnreadableError as error:
        show(f"UNREAD   {place.name}: {error}")
        return error
    except DamagedError as error:
        return _damaged(place.name, str(error))
    show(
        f"ok       {place.name}: {manifest.get('kind')} of step {manifest.get('step')}, "
        f"{len(manifest['files'])} files, manifest {manifest['sha256'][:12]}"
    )
    return None


def _damaged(name: str, problem: str) -> DamagedError:
    show(f"DAMAGED  {name}: {problem}")
    return DamagedError(problem)


def _lost(run: Path, whole: set[str]) -> Problems:
    """Print a line for what the run says it wrote and is not there, or is another; return both."""
    problems: Problems = {}
    try:
        stated = written.read(run)
    except UnreadableError as error:
        show(f"UNREAD   {written.RECORD}: {error}")
        return {written.RECORD: error}
    except DamagedError as error:
        stated, problems[written.RECORD] = {}, _damaged(written.RECORD, str(error))
    lost = [*_of_folders(run, stated, whole), *_of_files(run, stated)]
    problems |= {name: _damaged(name, problem) for name, problem in lost}
    best = stated_best(run)
    if best and BEST not in problems and (BEST in whole or _is_gone(run / BEST)):
        problem = lost_best(run, best)
        problems |= {BEST: _damaged(BEST, problem)} if problem else {}
    return problems


def _of_folders(run: Path, stated: written.Written, whole: set[str]) -> Iterator[tuple[str, str]]:
    for name, digest in stated.get("folders", {}).items():
        if name in whole:
            if sha256_file(run / name / MANIFEST) != digest:
                yield name, "it is intact, but not the one that the run wrote"
        elif _is_gone(run / name):
            if is_resumable(name) and any(end in whole for end in ENDS):
                show(f"gone     {name}: the run wrote it; the result no longer needs it")
            else:
                yield name, "the run wrote it, and it is missing"


def _of_files(run: Path, stated: written.Written) -> Iterator[tuple[str, str]]:
    for name in (*stated.get("files", {}), *stated.get("made_again", [])):
        if (run / name).is_symlink():
            yield name, "it is a symbolic link, which is not followed"
        elif not (run / name).is_file():
            yield name, "the run wrote it, and it is missing"
        elif stated["files"].get(name) not in (None, sha256_file(run / name)):
            yield name, "it was changed"


def _is_gone(place: Path) -> bool:
    return not place.is_symlink() and not place.exists()


def _ways(folder: Path, problems: Problems) -> Iterator[str]:
    """Yield what would mend each; `medlora train` does what it is said here to do."""
    if folder.name in problems:
        yield "restore it from a copy"
        return
    best = stated_best(folder)
    for name in problems:
        if name in (written.RECORD, *written.MADE_AGAIN):
            yield f"medlora train writes {name} again"
        elif name in (BEST, *ENDS) and _is_taken(folder, name, best):
            yield (
                f"restore {name} from a copy, or delete it and run medlora train, which writes it "
                "again"
            )
        else:
            yield _way(folder, name, best)


def _way(run: Path, name: str, best: Best | None) -> str:
    """Return what mends a folder that `train` does not take, or a file beside the folders."""
    newest = newest_proven(run)
    source = source_of_best(run, best) if name == BEST and best else None
    source = newest[0] if newest and name in ENDS else source
    if source:
        return f"medlora train rebuilds {name}/ from {source.name}"
    if is_resumable(name) and any(is_proven(run / end) for end in ENDS):
        return f"{name} is not needed: the result is complete"
    if is_resumable(name) and newest:
        return f"medlora train moves {name} aside and resumes from {newest[0].name}"
    return (
        f"restore {name} from a copy: nothing beside it can rebuild it; medlora train --fresh "
        "moves everything aside and trains again"
    )


def _is_taken(run: Path, name: str, best: Best | None) -> bool:
    """Tell whether `train` takes a folder for the run's own: it is whole, and says what fits."""
    if name == BEST:
        return best is not None and lost_best(run, best) is None
    return is_proven(run / name)
