"""The places that a run touches: data, config, model, checkpoints, output.

Each can be given as a mount, by the platform, as a variable or an option.  All but the config
file are names for a config key, so that precedence is one mechanism.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from medlora.runtime.current_platform import batch_service
from medlora.runtime.environment import (
    LOG_FORMAT,
    LOG_INTERVAL,
    SHOW_BUG_MESSAGES,
    Environment,
    Fact,
)
from medlora.runtime.place_with_origin import PlaceValue
from medlora.runtime.scratch_dir import FETCHED, WORK
from medlora.runtime.topology import RDZV_TIMEOUT


@dataclass(frozen=True, slots=True)
class Place:
    """A place's names: option `--<name>`, variable, mount, and the config key it sets."""

    name: str
    variable: str
    mount: str
    key: str | None


PLACES = (
    Place("data", "MEDLORA_DATA", "data", "data.path"),
    Place("config", "MEDLORA_CONFIG", "config", None),
    Place("model", "MEDLORA_MODEL", "models", "model.base_model_name"),
    Place("checkpoints", "MEDLORA_CHECKPOINTS", "checkpoints", "training.output_dir"),
    Place("output", "MEDLORA_OUTPUT", "output", "training.final_dir"),
)
# What a platform may give beside the places, by the config key that it sets.
EXTRAS = {
    "eval_data": "data.eval_file",
    "logs": "training.logging_dir",
    "cache": "data.cache_dir",
}
VARIABLES = (
    "MEDLORA_RUN_NAME",
    "MEDLORA_NPROC",
    "MEDLORA_GRACE_S",
    "MEDLORA_DEVICE",
    "MEDLORA_NETWORK",
    WORK,
    FETCHED,
    LOG_FORMAT,
    LOG_INTERVAL,
    RDZV_TIMEOUT,
    SHOW_BUG_MESSAGES,
)
# Of Compose, of the unit for systemd, of scripts and tests: none of them is ours to read.
_OTHERS = frozenset(
    f"MEDLORA_{name}"
    for name in (
        "ENGINE_DIR",
        "ENGINE_PID",
        "HOME",
        "IMAGE",
        "SCREENSHOTS",
        "SHARED_DATA",
        "TEST_DEVICE",
        "UID",
    )
)
# What Kubernetes sets in every pod beside a service of that name.  Source: its documentation,
# "Accessing the Service", environment variables.
_SERVICE = re.compile(
    r"MEDLORA_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)
_STRENGTH = ("option", "variable", "platform", "mount")


def given_places(
    environment: Environment, options: Mapping[str, str | None]
) -> dict[str, dict[str, PlaceValue]]:
    """Return, for each place, what was given by `mount`, `platform`, `variable` and `option`.

    The folder for checkpoints counts as soon as it is there, for it starts empty; one that
    nobody mounted says so, because what is written there dies with the container.

    Raises:
        ConfigError: the platform's own statement cannot be used.
    """
    stated = platform_places(environment)
    return {
        place.name: _given(place, environment, options.get(place.name), stated.get(place.name))
        for place in PLACES
    }


def platform_places(environment: Environment) -> dict[str, PlaceValue]:
    """Return what the platform itself says of places, of `EXTRAS` too.

    Raises:
        ConfigError: it cannot be used.
    """
    service = batch_service(environment)
    return service.places(environment) if service and service.places else {}


def find_paths(
    environment: Environment, options: Mapping[str, str | None] | None = None
) -> dict[str, Fact[str]]:
    """Return where data, model, checkpoints, output and logs are, by the environment alone.

    A config file may still say otherwise where only a mount or a default speaks.
    """
    places = given_places(environment, options or {})
    defaults = {place.name: str(environment.root / place.mount) for place in PLACES}
    defaults["checkpoints"] = "./checkpoints"
    facts = {}
    for place in PLACES:
        if place.key:
            facts[place.name] = _strongest(place, places[place.name], environment) or Fact(
                defaults[place.name], "default"
            )
    if facts["output"].source == "default":
        facts["output"] = Fact(facts["checkpoints"].value, "default: with the checkpoints")
    logs = platform_places(environment).get("logs")
    at_runs = Fact(facts["checkpoints"].value, "default: with the checkpoints")
    facts["logs"] = Fact(logs.value, logs.origin) if logs else at_runs
    return facts


def strongest(given: Mapping[str, PlaceValue]) -> PlaceValue | None:
    """Return what counts of the ways in which a place was given."""
    return next((given[how] for how in _STRENGTH if how in given), None)


def _strongest(
    place: Place, given: Mapping[str, PlaceValue], environment: Environment
) -> Fact[str] | None:
    named = f"MEDLORA_{(place.key or '').upper().replace('.', '__')}"
    stated = environment.text(named) if "option" not in given else None
    if stated:
        return stated
    chosen = strongest(given)
    return Fact(chosen.value, chosen.origin) if chosen else None


def _given(
    place: Place, environment: Environment, option: str | None, stated: PlaceValue | None
) -> dict[str, PlaceValue]:
    ways: dict[str, PlaceValue] = {}
    folder = environment.root / place.mount
    # A result goes only where somebody mounted something, not into any folder of that name.
    results = place.name == "output"
    mounted = folder in environment.mount_points if results else environment.is_given(folder)
    if mounted or (place.name == "checkpoints" and folder.is_dir()):
        word = "mount" if mounted else "folder"
        ways["mount"] = PlaceValue(str(folder), f"{word} {folder}", mounted)
    if stated:
        ways["platform"] = stated
    variable = environment.variables.get(place.variable)
    if variable:
        source = f"variable {place.variable}"
        ways["variable"] = PlaceValue(_local(variable, source, environment), source)
    if option:
        source = f"option --{place.name}"
        ways["option"] = PlaceValue(_local(option, source, environment), source)
    return ways


def _local(value: str, source: str, environment: Environment) -> str:
    """Return where a value is in the file system; some platforms have buckets there."""
    service = batch_service(environment)
    if service and service.local_path:
        return service.local_path(value, source, environment)
    return value


def is_of_others(variable: str) -> bool:
    """Tell whether a variable that begins like ours belongs to something else."""
    return variable in _OTHERS or bool(_SERVICE.fullmatch(variable))


def near_miss(variable: str) -> str | None:
    """Return the variable that was meant where a name is nearly, but not quite, one of ours."""
    known = {place.variable for place in PLACES} | set(VARIABLES)
    if variable in known:
        return None
    tails = {name.removeprefix("MEDLORA_"): name for name in known}
    close = get_close_matches(variable.removeprefix("MEDLORA_"), tails, n=1, cutoff=0.75)
    return tails[close[0]] if close else None
