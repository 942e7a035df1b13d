"""What a run would do with locations in an object store; nothing is sent and nothing is loaded."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from medlora.runtime import Environment, Fact, find_scratch_dir
from medlora.runtime.packages import package_version
from medlora.storage.location import Location, is_location, parse

_INPUTS = ("data", "model")
_LIBRARIES = {"s3": "s3fs", "gs": "gcsfs"}
# In the order in which the services' own tools look; the first that is there counts.
_VARIABLES = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS",),
}
_FILES = {
    "s3": (".aws/credentials", ".aws/config"),
    "gs": (".config/gcloud/application_default_credentials.json",),
}
_ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "gs": ("STORAGE_EMULATOR_HOST",)}
Row = tuple[str, str, str]


def describe_locations(environment: Environment, paths: Mapping[str, Fact[str]]) -> list[Row]:
    """Return (what, how, source) of all that locations mean; empty where there is none.

    Raises:
        ConfigError: one cannot be used.
    """
    locations = {name: parse(*fact) for name, fact in paths.items() if is_location(fact.value)}
    stated = {
        name: at for name, at in locations.items() if not paths[name].source.startswith("default")
    }
    if not stated:
        return []
    rows = [
        (name, "would be fetched" if name in _INPUTS else "would be mirrored", str(at))
        for name, at in stated.items()
    ]
    rows.append(("working directory", *find_scratch_dir(environment)))
    services = {at.scheme: at for at in stated.values()}
    return [*rows, *(row for at in services.values() for row in _service(at, environment))]


def _service(location: Location, environment: Environment) -> Iterator[Row]:
    name, scheme = location.service, location.scheme
    library = _LIBRARIES[scheme]
    installed = package_version(library) or "not installed: medlora[cloud]"
    yield f"{name}: library", installed, library
    yield f"{name}: credentials", *_credentials(scheme, environment)
    named = [variable for variable in _ENDPOINTS[scheme] if environment.text(variable)]
    yield f"{name}: address", *(("given", f"variable {named[0]}") if named else ("its own", ""))


def _credentials(scheme: str, environment: Environment) -> tuple[str, str]:
    """Return where the service's tools would find some; never what they are."""
    for name in _VARIABLES[scheme]:
        if environment.text(name):
            return "named", f"variable {name}"
    home = environment.text("HOME")
    for name in _FILES[scheme] if home else ():
        if (Path(home.value if home else "") / name).is_file():
            return "in a file", f"~/{name}"
    return "none named", "the machine's own role would be used"
