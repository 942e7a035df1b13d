"""Which folders a run writes, and what is in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from medlora.checkpoint.beyond_digests import is_proven, read_progress
from medlora.checkpoint.folder_format import write_checkpoint
from medlora.checkpoint.resume import prune
from medlora.checkpoint.state import Progress
from medlora.files import TakenError
from medlora.logs import logger
from medlora.report.manifest_schema import RunFacts
from medlora.runs.cards import with_papers

_log = logger(__name__)


class Committed(Protocol):
    """Takes over folders that were just written, e.g. to copy them elsewhere."""

    def __call__(self, names: Sequence[str], *, keep: int, step: int) -> None:
        """Take over the folders of these names, and know what is kept of the steps."""


@dataclass(frozen=True, slots=True)
class Save:
    """A folder to write; a resumable one carries the optimizer and the progress as well.

    One that is not needed is left out, with a line, where its name is taken for good.
    """

    name: str
    facts: RunFacts
    resumable: bool = False
    needed: bool = True
    files: Mapping[str, bytes] = field(default_factory=dict)  # beside those that all have


def adapter(name: str, facts: RunFacts, files: Mapping[str, bytes] | None = None) -> Save:
    """Return a folder with the adapter alone, for use; facts may name another kind."""
    stated: RunFacts = {"kind": "adapter", **facts}
    return Save(name, stated, files=files or {})


def checkpoint(name: str, *, needed: bool = False, epoch: int | None = None) -> Save:
    """Return a folder that training can go on from; that of an epoch states which."""
    facts: RunFacts = {"kind": "checkpoint"}
    if epoch is not None:
        facts["epoch"] = epoch
    return Save(name, facts, resumable=True, needed=needed)


def write_all(
    run: Path,
    saves: Sequence[Save],
    *,
    files: Mapping[str, bytes],
    state: Mapping[str, bytes],
    facts: RunFacts,
    keep: int,
) -> None:
    """Write these folders of a run, then prune its older steps.

    Args:
        run: the run's folder.
        saves: what to write.
        files: what all of them hold.
        state: what the resumable ones hold beside it.
        facts: what all their manifests state, the step among it.
        keep: how many step checkpoints stay.

    Raises:
        TakenError: a needed one has the name of a folder that may not be replaced.
        StorageError: the disk is full or cannot be written.
    """
    for save in saves:
        content = {**files, **save.files, **(state if save.resumable else {})}
        try:
            stated: RunFacts = {**facts, **save.facts}
            write_checkpoint(run / save.name, with_papers(content, stated), stated)
        except TakenError as error:
            if save.needed:
                raise
            _log.warning("%s is not saved: %s", save.name, error.headline)
    prune(run, keep=keep, step=facts["step"])


def is_saved(folder: Path, progress: Progress) -> bool:
    """Tell whether a checkpoint is there, whole, and says the same as this progress."""
    if not is_proven(folder):
        return False
    return bool(read_progress(folder)["pending"] == progress.pending)
