"""The four places that a run touches: data, config, model, checkpoints.

Each can be given as a mount, a variable or an option.  Three of them are names for a config
key, so that precedence is one mechanism; the fourth names the config file itself.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from medlora.runtime.environment import Environment


@dataclass(frozen=True, slots=True)
class Place:
    """A place's names: option `--<name>`, variable, mount, and the config key it sets."""

    name: str
    variable: str
    mount: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """A value for a place and where it came from; `mounted` is False for an empty folder."""

    value: str
    origin: str
    mounted: bool = True


PLACES = (
    Place("data", "MEDLORA_DATA", "data", "data.path"),
    Place("config", "MEDLORA_CONFIG", "config", None),
    Place("model", "MEDLORA_MODEL", "models", "model.base_model_name"),
    Place("checkpoints", "MEDLORA_CHECKPOINTS", "checkpoints", "training.output_dir"),
)


def given_places(
    environment: Environment, options: dict[str, str | None]
) -> dict[str, dict[str, Given]]:
    """Return, for each place, what was given by `mount`, `variable` and `option`.

    The folder for checkpoints counts as soon as it is there, for it starts empty; one that
    nobody mounted says so, because what is written there dies with the container.
    """
    return {place.name: _given(place, environment, options.get(place.name)) for place in PLACES}


def _given(place: Place, environment: Environment, option: str | None) -> dict[str, Given]:
    found: dict[str, Given] = {}
    folder = environment.root / place.mount
    mounted = environment.is_given(folder)
    if mounted or (place.name == "checkpoints" and folder.is_dir()):
        word = "mount" if mounted else "folder"
        found["mount"] = Given(str(folder), f"{word} {folder}", mounted)
    variable = environment.variables.get(place.variable)
    if variable:
        found["variable"] = Given(variable, f"variable {place.variable}")
    if option:
        found["option"] = Given(option, f"option --{place.name}")
    return found


def near_miss(variable: str) -> str | None:
    """Return the variable that was meant where a name is nearly, but not quite, one of ours."""
    known = {place.variable for place in PLACES} | {"MEDLORA_RUN_NAME"}
    if variable in known:
        return None
    tails = {name.removeprefix("MEDLORA_"): name for name in known}
    close = get_close_matches(variable.removeprefix("MEDLORA_"), tails, n=1, cutoff=0.75)
    return tails[close[0]] if close else None
