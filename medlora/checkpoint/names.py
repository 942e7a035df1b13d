"""What the folders of a run are called; a name says what training may do with one."""

import re
from collections.abc import Iterable

BEST, FINAL = "best_model", "final"
REJECTED = "rejected"  # in place of the final one, where the gate said no
ENDS = (FINAL, REJECTED)
STEP = re.compile(r"step_(\d+)")
EPOCH = re.compile(r"epoch_(\d+)")
PROGRESS = "progress.json"  # in each of those that training can go on from


def is_resumable(name: str) -> bool:
    """Tell whether training can go on from a folder of this name."""
    return bool(STEP.fullmatch(name) or EPOCH.fullmatch(name))


def is_ours(name: str) -> bool:
    """Tell whether a folder of this name has to have a manifest."""
    return name in (BEST, *ENDS) or is_resumable(name)


def step_of(name: str) -> int | None:
    """Return the step that the name of a step's checkpoint says, None for any other name."""
    match = STEP.fullmatch(name)
    return int(match[1]) if match else None


def surplus(names: Iterable[str], *, keep: int, step: int) -> list[str]:
    """Return which step checkpoints are no longer kept, the oldest first.

    Args:
        names: of folders; those of other kinds stay.
        keep: how many stay, the newest.
        step: where the run is.  What claims a later one is none of its own, and must not crowd
            out those that are.
    """
    steps = ((step_of(name), name) for name in names)
    own = sorted((number, name) for number, name in steps if number is not None and number <= step)
    return [name for _, name in own[:-keep]]
