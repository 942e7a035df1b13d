"""Which runs of a page were measured on the same rows; losses on others stand apart in words."""

from collections.abc import Sequence

from medlora.files import sha256_json
from medlora.report.loss_comparability import TRAINING, loss_inputs
from medlora.report.page.run_facts import Run

HELD_OUT = "eval_loss"
OTHER_ROWS = "of other rows"


def sets_of(runs: Sequence[Run], loss: str) -> list[int | None]:
    """Return which set of rows each run's loss is of, from 1; None where all are of one set.

    Args:
        runs: of the page.
        loss: its name in a manifest's `result`.
    """
    known = [None if _has_none(run, loss) else _digest(run, loss) for run in runs]
    different = list(dict.fromkeys(digest for digest in known if digest))
    if len(different) < 2:  # noqa: PLR2004  (two are different)
        return [None] * len(runs)
    return [None if digest is None else different.index(digest) + 1 for digest in known]


def are_apart(runs: Sequence[Run], loss: str) -> bool:
    """Tell whether runs of a page have this loss of different rows."""
    return any(sets_of(runs, loss))


def apart(run: Run, runs: Sequence[Run]) -> str:
    """Return what has to be known of a run's held-out rows beside those of the others."""
    numbers = dict(zip((other.label for other in runs), sets_of(runs, HELD_OUT), strict=True))
    own = numbers[run.label]
    others = [label for label, number in numbers.items() if number not in (own, None)]
    if own is None or not others:
        return ""
    return (
        f"Its held-out rows are not those of {', '.join(others)}: "
        "these losses cannot be compared with each other."
    )


def _digest(run: Run, loss: str) -> str:
    return sha256_json(loss_inputs(run.manifest, loss))


def _has_none(run: Run, loss: str) -> bool:
    return loss != TRAINING and run.fact("data", "rows", "eval") == 0
