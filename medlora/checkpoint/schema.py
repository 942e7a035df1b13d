"""What the manifest of every folder of a run states, as its JSON."""

from typing import TypedDict


class Facts(TypedDict, total=False):
    """What a folder's manifest states beside its files; that of a run states more.

    Attributes:
        kind: what the folder is: a run's result, a checkpoint, an adapter, cards.
        status: of a run's result: finished or rejected.
        step: optimizer steps that were done.
        epoch: of the checkpoint at an epoch's end: which one, from 1.
    """

    kind: str
    status: str
    step: int
    epoch: int


class Manifest(Facts):
    """A manifest that was read: it vouches for the files beside it, and for itself."""

    files: dict[str, str]  # name -> SHA-256
    sha256: str  # of all the rest
