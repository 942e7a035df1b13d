"""A finished run, found again: its manifest, its config, its inputs."""

from pathlib import Path

from medlora.checkpoint.folder_format import read_manifest
from medlora.checkpoint.names import ENDS, FINAL
from medlora.checkpoint.schema import Manifest
from medlora.config import Setting, load, not_reproduced
from medlora.errors import ConfigError, IntegrityError, MissingPartError, StorageError, below
from medlora.files import MANIFEST, DamagedError, UnreadableError, storage_errors
from medlora.model.file_names import WEIGHTS
from medlora.plan.resolve_run import Plan
from medlora.report.fingerprint import Inputs, differences
from medlora.report.manifest_schema import RunManifest, as_run
from medlora.runs.folder import GATE


def final_of(folder: Path) -> Path:
    """Return the final/ of a run's folder, or rejected/, or the folder where it is that already."""
    return result_with(MANIFEST, folder) or folder / FINAL


def result_with(file: str, folder: Path) -> Path | None:
    """Return the first of a folder, its final/ and its rejected/ that has a file, None for none.

    Raises:
        StorageError: they cannot be looked at.
    """
    places = (folder, *(folder / end for end in ENDS))
    with storage_errors(folder):
        return next((place for place in places if (place / file).exists()), None)


def home_of(folder: Path) -> Path:
    """Return a run's own folder: the one that final/, rejected/ or a checkpoint is in."""
    return folder.resolve().parent if (folder / WEIGHTS).exists() else folder


def whole_manifest(folder: Path) -> Manifest:
    """Return a folder's manifest after checking every byte beside it.

    Raises:
        IntegrityError: it is damaged.
        StorageError: it cannot be read.
    """
    try:
        return read_manifest(folder)
    except UnreadableError as error:
        raise StorageError(f"{folder}: {error}", fix="make it readable for this user") from None
    except DamagedError as error:
        fix = "restore it from a copy"
        raise IntegrityError(f"{folder} is damaged: {error}", fix=fix) from None


def finished_manifest(final: Path) -> RunManifest:
    """Return the manifest of a finished run, after checking every byte beside it.

    Raises:
        MissingPartError: there is no finished run.
        IntegrityError: it is damaged.
        StorageError: it cannot be read.
    """
    if not final.is_dir():
        raise MissingPartError(f"{final}: not there", fix="name the folder of a finished run")
    manifest = whole_manifest(final)
    if manifest.get("kind") != "run":
        raise MissingPartError(
            f"{final}: not a finished run", fix="name a run's folder or its final/"
        )
    return as_run(manifest)


def plan_again(
    manifest: RunManifest, run: Path, *, run_name: str, data: str | None, model: str | None
) -> Plan:
    """Return the plan of a finished run, under another name beside it.

    Args:
        manifest: of the run.
        run: its folder.
        run_name: of what is planned.
        data: where the data is now, if not where the manifest says.
        model: where the base model is now, if not where the manifest says.
    """
    # Without its gate: the bits are compared, whatever they may be called.
    own = {key: fact for key, fact in manifest["config"].items() if not key.startswith(f"{GATE}.")}
    values = {key: fact["value"] for key, fact in own.items()}
    values |= {
        **not_reproduced(),
        "run_name": run_name,
        "training.output_dir": str(run.parent),
        "data.path": data or values["data.path"],
        "model.base_model_name": model or values["model.base_model_name"],
    }
    if data:
        values |= {"data.train_file": None, "data.eval_file": None}
    settings = (Setting(tuple(key.split(".")), value, "manifest") for key, value in values.items())
    return Plan(load(settings), demo=manifest["demo"], root=Path("/"), volatile_output=False)


def refuse_other_inputs(manifest: RunManifest, inputs: Inputs) -> None:
    """Refuse inputs that are not those of a finished run.

    Raises:
        ConfigError: names each that differs.
    """
    changes = differences(manifest["inputs"], inputs.facts["inputs"], ignore=(GATE,))
    if changes:
        raise ConfigError(
            below("the inputs are not those of the run:", changes),
            fix="name the run's own data with --data and its base with --model",
        )
