"""`medlora reproduce`: train again from a run's manifest and compare the adapter's digest."""

from pathlib import Path
from typing import Any

import click

from medlora.checkpoint.store import MANIFEST, DamagedError, UnreadableError, read_manifest
from medlora.config import Setting, load
from medlora.errors import ConfigError, IntegrityError, MissingPartError, StorageError
from medlora.files import remove, storage_errors
from medlora.jobs import train
from medlora.jobs.inputs import read_inputs
from medlora.jobs.rundir import note_other_software
from medlora.jobs.saving import FINAL
from medlora.jobs.settings import Plan
from medlora.model.adapter import WEIGHTS
from medlora.report.fingerprint import differences
from medlora.runtime import Stop


def run(
    folder: Path, *, data: str | None = None, model: str | None = None, stop: Stop | None = None
) -> None:
    """Repeat a finished run in a folder beside it; the copy goes if the digests agree.

    Args:
        folder: the run's folder, or its final/.
        data: where the data is now, if not where the manifest says.
        model: where the base model is now, if not where the manifest says.
        stop: where signals are noted; started again, an interrupted repetition goes on.

    Raises:
        IntegrityError: the adapter has another digest, or the run is damaged.
        ConfigError: data or base are not those of the run, or it cannot be repeated.
        MissingPartError: there is no finished run.
    """
    with storage_errors(folder):
        final = folder if (folder / MANIFEST).exists() else folder / FINAL
    manifest = _finished(final)
    plan = _plan(manifest, final.resolve().parent, data=data, model=model)
    _refuse_other_inputs(manifest, plan)
    note_other_software(manifest)
    train.run(plan, stop=stop)
    copy = Path(plan.resolved.config.training.output_dir) / plan.resolved.config.run_name
    theirs, ours = (_digest(place) for place in (final, copy / FINAL))
    if theirs != ours:
        raise IntegrityError(
            f"the adapter came out different: SHA-256 {ours}, the run has {theirs}",
            fix=f"compare hardware and software in the two manifests; the copy is {copy}",
        )
    remove(copy)
    click.echo(f"reproduced: the adapter has the same SHA-256, {ours}")


def _finished(final: Path) -> dict[str, Any]:
    if not final.is_dir():
        raise MissingPartError(f"{final}: not there", fix="name the folder of a finished run")
    try:
        manifest = read_manifest(final)
    except UnreadableError as error:
        raise StorageError(f"{final}: {error}", fix="make it readable for this user") from None
    except DamagedError as error:
        raise IntegrityError(f"{final} is damaged: {error}", fix="restore it from a copy") from None
    if manifest.get("kind") != "run":
        raise MissingPartError(f"{final}: no finished run", fix="name a run's folder or its final/")
    if manifest["allowed_changes"]:
        names = ", ".join(manifest["allowed_changes"])
        raise ConfigError(
            f"{final} went on from a checkpoint with changes ({names}): one pass cannot repeat it",
            fix="train it again without --allow-change",
        )
    return manifest


def _plan(manifest: dict[str, Any], run: Path, *, data: str | None, model: str | None) -> Plan:
    values = {key: fact["value"] for key, fact in manifest["config"].items()}
    values |= {
        "run_name": f"{manifest['run_name']}.reproduced",
        "training.output_dir": str(run.parent),
        "training.final_dir": None,
        "training.logging_dir": None,
        "training.generation_steps": None,  # looks on and changes nothing
        "training.generation_prompts": None,
        "data.path": data or values["data.path"],
        "model.base_model_name": model or values["model.base_model_name"],
    }
    if data:
        values |= {"data.train_file": None, "data.eval_file": None}
    settings = (Setting(tuple(key.split(".")), value, "manifest") for key, value in values.items())
    return Plan(load(settings), demo=manifest["demo"], root=Path("/"), volatile_output=False)


def _refuse_other_inputs(manifest: dict[str, Any], plan: Plan) -> None:
    changes = differences(manifest["inputs"], read_inputs(plan).facts["inputs"])
    if changes:
        lines = "".join(f"\n  {change}" for change in changes)
        raise ConfigError(
            f"the inputs are not those of the run:{lines}",
            fix="name the run's own data with --data and its base with --model",
        )


def _digest(final: Path) -> str:
    digest: str = read_manifest(final)["files"][WEIGHTS]
    return digest
