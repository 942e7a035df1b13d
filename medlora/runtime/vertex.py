"""Vertex AI's places: gs:// locations that it mounts below /gcs."""

from pathlib import PurePosixPath

from medlora.errors import ConfigError
from medlora.runtime.environment import Environment
from medlora.runtime.given import Given

# Each is set only where the job has a baseOutputDirectory, or a data set.
_VARIABLES = {
    "data": "AIP_TRAINING_DATA_URI",
    "eval_data": "AIP_VALIDATION_DATA_URI",
    "checkpoints": "AIP_CHECKPOINT_DIR",
    "output": "AIP_MODEL_DIR",
    "logs": "AIP_TENSORBOARD_LOG_DIR",
}
_SCHEME = "gs://"


def vertex_places(environment: Environment) -> dict[str, Given]:
    """Return the places that Vertex AI's variables name.

    Raises:
        ConfigError: one is no folder in a bucket.
    """
    found = {}
    for place, name in _VARIABLES.items():
        stated = environment.text(name)
        if stated:
            path = mounted_path(stated.value, stated.source, environment)
            found[place] = Given(path, stated.source)
    return found


def mounted_path(location: str, source: str, environment: Environment) -> str:
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
