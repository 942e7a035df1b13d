"""SageMaker's places: fixed folders below /opt/ml, and a folder for each channel of data."""

from pathlib import Path
from typing import Any

from medlora.errors import ConfigError
from medlora.files import storage_errors
from medlora.runtime.claims import read_object
from medlora.runtime.environment import Environment
from medlora.runtime.given import Given
from medlora.runtime.services import SAGEMAKER_CONFIG

CHANNELS = {  # what a channel may be called for each place; the first is what we advise
    "data": ("train", "training", "data"),
    "eval_data": ("eval", "validation", "evaluation", "valid", "dev"),
    "model": ("model", "models", "base_model"),
    "config": ("config",),
}


def sagemaker_places(environment: Environment) -> dict[str, Given]:
    """Return where SageMaker put the channels, and where it takes results from.

    Raises:
        ConfigError: a channel cannot be read as files, or two could be meant.
    """
    folder = environment.root / "opt/ml"
    found = {
        "checkpoints": Given(str(folder / "checkpoints"), "default for sagemaker"),
        "output": Given(str(folder / "model"), "default for sagemaker"),
        # Not with the checkpoints: all that is there goes to S3, and this is the data in numbers.
        "cache": Given(str(environment.root / "tmp/medlora-cache"), "default for sagemaker"),
    }
    channels, source = _channels(environment)
    for place, names in CHANNELS.items():
        matching = [name for name in names if name in channels]
        if len(matching) > 1:
            raise ConfigError(
                f"{source}: the channels {' and '.join(matching)} mean the same",
                fix=f"keep one; {names[0]} is the usual name",
            )
        for name in matching:
            _check_channel(name, channels[name], source, environment)
            found[place] = Given(str(folder / "input/data" / name), f"{source}, channel {name}")
    return found


def hyperparameters_file(environment: Environment) -> Path | None:
    """Return SageMaker's file of settings, None elsewhere."""
    file = environment.root / SAGEMAKER_CONFIG / "hyperparameters.json"
    return file if file.is_file() else None


def _channels(environment: Environment) -> tuple[dict[str, Any], str]:
    """Return {channel: what the service says of it}; of folders alone where it says nothing."""
    file = environment.root / SAGEMAKER_CONFIG / "inputdataconfig.json"
    if file.is_file():
        with storage_errors(file):
            text = file.read_text(encoding="utf-8", errors="replace")
        return read_object(text, f"file {file}"), f"file {file}"
    folder = environment.root / "opt/ml/input/data"
    with storage_errors(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return dict.fromkeys(names), f"folder {folder}"


def _check_channel(name: str, facts: Any, source: str, environment: Environment) -> None:  # noqa: ANN401  (any JSON value)
    """Refuse a channel that is no folder of files, or not the same one on every machine."""
    facts = facts if isinstance(facts, dict) else {}
    if facts.get("TrainingInputMode", "File") == "Pipe":
        raise ConfigError(
            f"{source}: channel {name} has the input mode Pipe, which provides no files",
            fix="set TrainingInputMode to File or FastFile",
        )
    hosts = environment.root / SAGEMAKER_CONFIG / "resourceconfig.json"
    if facts.get("S3DistributionType") == "ShardedByS3Key" and hosts.is_file():
        with storage_errors(hosts):
            text = hosts.read_text(encoding="utf-8", errors="replace")
        if len(read_object(text, f"file {hosts}").get("hosts", [])) > 1:
            raise ConfigError(
                f"{source}: channel {name} is sharded: each machine has a different part of it",
                fix="set S3DataDistributionType to FullyReplicated",
            )
