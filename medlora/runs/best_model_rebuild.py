"""`best_model/` made anew where it was lost: from a folder that has the same step's adapter."""

from pathlib import Path

from medlora.checkpoint.beyond_digests import prove
from medlora.checkpoint.folder_format import write_checkpoint
from medlora.checkpoint.names import BEST, PROGRESS
from medlora.checkpoint.resume import set_aside
from medlora.checkpoint.schema import Manifest
from medlora.checkpoint.state import OPTIMIZER
from medlora.errors import IntegrityError
from medlora.files import ForbiddenError
from medlora.logs import logger
from medlora.report.metrics_jsonl import METRICS, PRIVATE, releasable
from medlora.runs.cards import EVALUATION, PAPERS
from medlora.runs.lost_files import Best, lost_best, source_of_best, stated_best

_log = logger(__name__)
_NOT_IN_IT = (OPTIMIZER, PROGRESS, EVALUATION, *PAPERS)
# What the manifest of a checkpoint, or of a result, states beside what all of a run's state.
_OWN_FACTS = (
    *("kind", "epoch", "files", "sha256", "status", "gate", "started", "finished", "config"),
    *("seeds", "tokens", "adapter", "precision", "result", "compute", "hardware"),
)


def mend_best(run: Path) -> str | None:
    """Make a lost best model anew; return what is lost for good, None where nothing is.

    Only the run's owner may call it.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    best = stated_best(run)
    problem = lost_best(run, best) if best else None
    if best is None or problem is None:
        return None
    source = source_of_best(run, best)
    if source is None:
        lost = f"{BEST}/: {problem}, and no whole folder beside it is of step {best.step}"
        _log.warning("%s", lost)
        return lost
    try:
        _make(run, best, source)
    except ForbiddenError as error:
        _log.warning("%s/ could not be rebuilt: %s", BEST, error.headline)
        return f"{BEST}/: {problem}"
    _log.warning("%s/: %s; it is rebuilt from %s", BEST, problem, source.name)
    return None


def refuse_lost(run: Path, lost: str | None) -> None:
    """End a run whose result is whole and whose best model is lost.

    Raises:
        IntegrityError: it is.
    """
    if lost:
        raise IntegrityError(
            f"{run}/{lost}; the result itself is whole",
            fix="restore it from a copy, or train all of it again with --fresh",
        )


def _make(run: Path, best: Best, source: Path) -> None:
    manifest = prove(source)
    names = [name for name in manifest["files"] if name not in _NOT_IN_IT]
    files = {name: (source / name).read_bytes() for name in names}
    if manifest.get(PRIVATE) and METRICS in files:
        files[METRICS] = releasable(files[METRICS])
    if (run / BEST).exists():
        set_aside(run / BEST)
    write_checkpoint(run / BEST, files, _facts(manifest, best))


def _facts(manifest: Manifest, best: Best) -> dict[str, object]:
    shared = {name: value for name, value in manifest.items() if name not in _OWN_FACTS}
    return {**shared, "kind": "adapter", "eval_loss": best.loss}
