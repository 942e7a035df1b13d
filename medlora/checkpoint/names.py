"""What the folders of a run are called; a name says what training may do with one."""

import re

BEST, FINAL = "best_model", "final"
REJECTED = "rejected"  # in place of the final one, where the gate said no
ENDS = (FINAL, REJECTED)
STEP = re.compile(r"step_(\d+)")
EPOCH = re.compile(r"epoch_(\d+)")
RESUMABLE = re.compile(r"(step|epoch)_\d+")  # training can go on from these
PROGRESS = "progress.json"  # in each of them


def is_ours(name: str) -> bool:
    """Tell whether a folder of this name has to have a manifest."""
    return name in (BEST, *ENDS) or RESUMABLE.fullmatch(name) is not None
