"""What a run's folder has lost, and what of it training makes anew: asked by `train` and `verify`.

Nothing here changes a folder, so that what `verify` advises is what `train` then does.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlora.checkpoint.beyond_digests import prove, read_progress
from medlora.checkpoint.names import BEST, ENDS
from medlora.checkpoint.resume import checkpoints, newest_proven
from medlora.errors import IntegrityError
from medlora.files import MANIFEST, DamagedError, read_stated


@dataclass(frozen=True, slots=True)
class Best:
    """The best model that a run says it wrote: of which step, and its held-out loss."""

    step: int
    loss: float
    is_last: bool  # the run has ended: no better one will come


def stated_best(run: Path) -> Best | None:
    """Return the best model that a run says it wrote, None where it says of none."""
    for end in ENDS:
        try:
            return _best_of_result(read_stated(run / end / MANIFEST))
        except DamagedError:
            continue
    newest = newest_proven(run)
    best = read_progress(newest[0]).get("best") if newest else None
    match best:
        case [int() as step, int() | float() as loss]:
            return Best(step, loss, is_last=False)
    return None


def _best_of_result(manifest: Mapping[str, Any]) -> Best | None:
    match manifest:
        case {"config": {"training.engine": {"value": "huggingface"}}}:
            return None  # its best one is the result
        case {"result": {"best_step": int() as step, "best_eval_loss": int() | float() as loss}}:
            return Best(step, loss, is_last=True)
    return None


def lost_best(run: Path, best: Best) -> str | None:
    """Say what became of the best model, None where it is there and whole."""
    if not (run / BEST).is_dir():
        return "it is gone"
    try:
        step = prove(run / BEST).get("step")
    except DamagedError as error:
        return str(error)
    if step == best.step or (not best.is_last and isinstance(step, int) and step > best.step):
        return None
    return f"it is of step {step}, and the best one was of step {best.step}"


def source_of_best(run: Path, best: Best) -> Path | None:
    """Return a whole folder that has the adapter of the best step, None where none has."""
    ends = [run / end for end in ENDS if (run / end).is_dir()]
    for folder in (*sorted(checkpoints(run)), *ends):
        with suppress(DamagedError):
            if prove(folder).get("step") == best.step:
                return folder
    return None


def check_recoverable(end: Path, problem: DamagedError) -> None:
    """Refuse a damaged result that training cannot make anew.

    Raises:
        IntegrityError: no checkpoint beside it is whole.
    """
    if newest_proven(end.parent) is None:
        raise IntegrityError(
            f"{end} is damaged ({problem}), and no intact checkpoint is left",
            fix="restore the folder from a backup, or start over with --fresh, which keeps the old "
            "one under another name",
        )
