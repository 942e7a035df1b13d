"""SageMaker: fixed folders below /opt/ml, a folder for each channel of data, files of facts.

Source: SageMaker, "How Amazon SageMaker provides training information".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medlora.errors import ConfigError
from medlora.files import storage_errors
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.place_with_origin import PlaceValue
from medlora.runtime.platforms.platform import Platform, by_variables
from medlora.runtime.topology_source import Claim, malformed, names_in, read_object

_CONFIG = "opt/ml/input/config"
_CHANNELS = {  # what a channel may be called for each place; the first is what we advise
    "data": ("train", "training", "data"),
    "eval_data": ("eval", "validation", "evaluation", "valid", "dev"),
    "model": ("model", "models", "base_model"),
    "config": ("config",),
}


def _places(environment: Environment) -> dict[str, PlaceValue]:
    """Return where SageMaker put the channels, and where it takes results from.

    Raises:
        ConfigError: a channel cannot be read as files, or two could be meant.
    """
    folder = environment.root / "opt/ml"
    places = {
        "checkpoints": PlaceValue(str(folder / "checkpoints"), "default for sagemaker"),
        "output": PlaceValue(str(folder / "model"), "default for sagemaker"),
        # Not with the checkpoints: all that is there goes to S3, and this is the data in numbers.
        "cache": PlaceValue(str(environment.root / "tmp/medlora-cache"), "default for sagemaker"),
    }
    channels, source = _channels(environment)
    for place, names in _CHANNELS.items():
        matching = [name for name in names if name in channels]
        if len(matching) > 1:
            raise ConfigError(
                f"{source}: the channels {' and '.join(matching)} mean the same",
                fix=f"keep one; {names[0]} is the usual name",
            )
        for name in matching:
            _check_channel(name, channels[name], source, environment)
            places[place] = PlaceValue(
                str(folder / "input/data" / name), f"{source}, channel {name}"
            )
    return places


def _nodes(environment: Environment) -> Claim | None:
    """Return what SageMaker's resourceconfig.json says; the first host is the master."""
    file = environment.root / _CONFIG / "resourceconfig.json"
    if not file.is_file():
        return None
    source = f"file {file}"
    with storage_errors(file):
        content = read_object(file.read_text(encoding="utf-8", errors="replace"), source)
    hosts, current = names_in(content.get("hosts")), content.get("current_host")
    if not hosts or len(set(hosts)) < len(hosts):
        raise malformed(
            f"{source}, hosts", "must be a list of different names", content.get("hosts")
        )
    if current not in hosts:
        raise ConfigError(
            f"{source}: current_host is not one of hosts",
            fix="the platform sets this: do not change it; outside the platform, remove it",
        )
    interface = content.get("network_interface_name")
    return Claim(
        node_rank=Fact(hosts.index(current), source),
        num_nodes=Fact(len(hosts), source),
        master_addr=Fact(hosts[0], source),
        network_interface=Fact(interface, source) if isinstance(interface, str) else None,
    )


def _settings_file(environment: Environment) -> Path | None:
    """Return SageMaker's file of settings, None elsewhere."""
    file = environment.root / _CONFIG / "hyperparameters.json"
    return file if file.is_file() else None


def _channels(environment: Environment) -> tuple[dict[str, Any], str]:
    """Return {channel: what the service says of it}; of folders alone where it says nothing."""
    file = environment.root / _CONFIG / "inputdataconfig.json"
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
    hosts = environment.root / _CONFIG / "resourceconfig.json"
    if facts.get("S3DistributionType") == "ShardedByS3Key" and hosts.is_file():
        with storage_errors(hosts):
            text = hosts.read_text(encoding="utf-8", errors="replace")
        if len(read_object(text, f"file {hosts}").get("hosts", [])) > 1:
            raise ConfigError(
                f"{source}: channel {name} is sharded: each machine has a different part of it",
                fix="set S3DataDistributionType to FullyReplicated",
            )


def _mark(environment: Environment) -> str | None:
    folder = environment.root / _CONFIG
    return f"folder {folder}" if folder.is_dir() else _VARIABLES(environment)


def _failure_file(environment: Environment) -> Path | None:
    is_here = (environment.root / _CONFIG).is_dir()
    return environment.root / "opt/ml/output/failure" if is_here else None


def _how_to_give(parts: Sequence[str]) -> str:
    return f"add the channel {' and '.join(_CHANNELS[part][0] for part in parts)}"


_VARIABLES = by_variables("SM_TRAINING_ENV", "TRAINING_JOB_NAME", "TRAINING_JOB_ARN")
SAGEMAKER = Platform(
    "sagemaker",
    "SageMaker",
    _mark,
    grace_s=120,
    job="TRAINING_JOB_NAME",
    nodes=_nodes,
    places=_places,
    settings_file=_settings_file,
    failure_file=_failure_file,
    how_to_give=_how_to_give,
    unkept="without a CheckpointConfig, an interrupted job starts over",
    copied_to="S3",
)
