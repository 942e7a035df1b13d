"""Vertex AI: gs:// locations that it mounts below /gcs, machines in CLUSTER_SPEC."""

from pathlib import PurePosixPath
from typing import Any

from medlora.errors import ConfigError
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.place_with_origin import PlaceValue
from medlora.runtime.platforms.platform import Platform, by_variables
from medlora.runtime.topology_source import Claim, malformed, names_in, read_object

# Each is set only where the job has a baseOutputDirectory, or a data set.
_VARIABLES = {
    "data": "AIP_TRAINING_DATA_URI",
    "eval_data": "AIP_VALIDATION_DATA_URI",
    "checkpoints": "AIP_CHECKPOINT_DIR",
    "output": "AIP_MODEL_DIR",
    "logs": "AIP_TENSORBOARD_LOG_DIR",
}
_SCHEME = "gs://"
_POOLS = ("workerpool0", "workerpool1")


def _places(environment: Environment) -> dict[str, PlaceValue]:
    """Return the places that Vertex AI's variables name.

    Raises:
        ConfigError: one is no folder in a bucket.
    """
    places = {}
    for place, name in _VARIABLES.items():
        stated = environment.text(name)
        if stated:
            path = _mounted(stated.value, stated.source, environment)
            places[place] = PlaceValue(path, stated.source)
    return places


def _mounted(location: str, source: str, environment: Environment) -> str:
    """Return where Vertex AI mounts a gs:// location; a path stays as it is.

    Raises:
        ConfigError: it is neither.
    """
    if location.startswith("/"):
        return location
    bucket, _, path = location.removeprefix(_SCHEME).partition("/")
    parts = PurePosixPath(path).parts
    if not location.startswith(_SCHEME) or not bucket or ".." in (bucket, *parts):
        scheme, separator, _ = location.partition("://")
        kind = f"a {scheme}:// location" if separator else "a text"
        raise ConfigError(
            f"{source}: must be gs://BUCKET/FOLDER (got {kind})",
            fix="name a folder in Cloud Storage, or give the place as MEDLORA_... instead",
        )
    return str(environment.root.joinpath("gcs", bucket, *parts))


def _local_path(value: str, source: str, environment: Environment) -> str:
    return _mounted(value, source, environment) if value.startswith(_SCHEME) else value


def _nodes(environment: Environment) -> Claim | None:
    """Return what Vertex AI's CLUSTER_SPEC says: pool 0 is the master's, pool 1 the others'."""
    text = environment.text("CLUSTER_SPEC")
    if text is None:
        return None
    source = text.source
    content = read_object(text.value, source)
    cluster, task = content.get("cluster"), content.get("task")
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise malformed(source, "must have the objects cluster and task", content)
    pools = [_pool(cluster, name, source) for name in _POOLS]
    if task.get("type") not in _POOLS or not pools[0]:
        raise ConfigError(
            f"{source}: the task is not in {_POOLS[0]} or {_POOLS[1]}, or the first is empty",
            fix="use worker pools 0 and 1 only",
        )
    pool, index = _POOLS.index(task["type"]), task.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise malformed(f"{source}, task.index", "must be a whole number", index)
    if not 0 <= index < len(pools[pool]):
        raise ConfigError(
            f"{source}: task.index {index} is not one of {len(pools[pool])} in {task['type']}",
            fix="the platform sets this: do not change it; outside the platform, remove it",
        )
    host, _, port = pools[0][0].rpartition(":") if ":" in pools[0][0] else (pools[0][0], "", "")
    return Claim(
        node_rank=Fact(index + (len(pools[0]) if pool else 0), source),
        num_nodes=Fact(sum(map(len, pools)), source),
        master_addr=Fact(host, source),
        master_port=Fact(int(port), source) if port.isdigit() else None,
    )


def _pool(cluster: dict[str, Any], name: str, source: str) -> list[str]:
    pool = cluster.get(name, [])
    if pool and not names_in(pool):
        raise malformed(f"{source}, {name}", "must be a list of names", pool)
    return names_in(pool)


VERTEX = Platform(
    "vertex",
    "Vertex AI",
    by_variables(
        "CLOUD_ML_JOB_ID",
        "CLUSTER_SPEC",
        "AIP_MODEL_DIR",
        "AIP_CHECKPOINT_DIR",
        "AIP_TENSORBOARD_LOG_DIR",
        "AIP_TRAINING_DATA_URI",
    ),
    grace_s=10,  # it states none: the shortest is assumed
    job="CLOUD_ML_JOB_ID",
    nodes=_nodes,
    places=_places,
    local_path=_local_path,
)
