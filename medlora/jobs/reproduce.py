"""`medlora reproduce`: train again from a run's manifest and compare the adapter's digest."""

from pathlib import Path

from medlora.checkpoint.names import FINAL
from medlora.errors import ConfigError, IntegrityError
from medlora.files import remove
from medlora.inputs.prepare import read_inputs
from medlora.jobs import train
from medlora.logs import show
from medlora.model.file_names import WEIGHTS
from medlora.report.facts import REPRODUCED
from medlora.report.manifest_schema import RunManifest
from medlora.report.metrics_jsonl import PRIVATE
from medlora.runs.finished import (
    final_of,
    finished_manifest,
    home_of,
    plan_again,
    refuse_other_inputs,
)
from medlora.runs.folder import note_other_software
from medlora.runtime import Stop


def run(
    folder: Path, *, data: str | None = None, model: str | None = None, stop: Stop | None = None
) -> None:
    """Repeat a finished run in a folder beside it; the copy goes if the digests agree.

    Args:
        folder: the run's folder, or its final/, or the rejected/ in place of it.
        data: where the data is now, if not where the manifest says.
        model: where the base model is now, if not where the manifest says.
        stop: where signals are noted; started again, an interrupted repetition goes on.

    Raises:
        IntegrityError: the adapter has another digest, or the run is damaged.
        ConfigError: data or base are not those of the run, or it cannot be repeated.
        MissingPartError: there is no finished run.
    """
    final = final_of(folder)
    manifest = finished_manifest(final)
    _refuse_unrepeatable(manifest, final)
    name = f"{manifest['run_name']}{REPRODUCED}"
    plan = plan_again(manifest, home_of(final), run_name=name, data=data, model=model)
    refuse_other_inputs(manifest, read_inputs(plan))
    note_other_software(manifest)
    train.run(plan, stop=stop)
    copy = plan.resolved.config.run_dir
    theirs = manifest["files"][WEIGHTS]
    ours = finished_manifest(copy / FINAL)["files"][WEIGHTS]
    if theirs != ours:
        raise IntegrityError(
            f"the adapter differs: SHA-256 {ours}; the run has {theirs}",
            fix="compare hardware and software in the two manifests; the repeated run is kept in "
            f"{copy}",
        )
    remove(copy)
    show(f"reproduced: the adapter has the same SHA-256, {ours}")


def _refuse_unrepeatable(manifest: RunManifest, final: Path) -> None:
    if PRIVATE in manifest:
        raise ConfigError(
            f"{final} was trained with differential privacy: its noise was drawn once and is "
            "stored nowhere, so no second run can have the same bits",
            fix="compare losses instead: train it again under another run_name, which uses "
            "up the privacy budget (epsilon) a second time",
        )
    if manifest["allowed_changes"]:
        names = ", ".join(manifest["allowed_changes"])
        raise ConfigError(
            f"{final} was resumed with changed settings ({names}): a single run cannot reproduce "
            "it",
            fix="train it again without --allow-change",
        )
