"""What a command line, the environment, mounts and a file add up to: one resolved run.

Precedence, weakest first: default, mount, file, platform, variable, option.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from medlora.config import KEYS, Resolved, Setting, from_yaml, load
from medlora.config.sagemaker_hyperparameters import from_hyperparameters
from medlora.config.sourced_value import PREFIX, from_options, from_variables
from medlora.config.suggestions import is_one_edit, nearest_key
from medlora.errors import ConfigError, MissingPartError
from medlora.runtime import PLACES, Environment, PlaceValue, batch_service, given_places, job_facts
from medlora.runtime.places import (
    EXTRAS,
    VARIABLES,
    is_of_others,
    near_miss,
    platform_places,
    strongest,
)
from medlora.runtime.platforms.platform import Platform
from medlora.storage.location import Location

CONFIG_NAMES = ("config.yaml", "config.yml")
STATEMENTS = "card.yaml"  # what people say of the model, beside the config
RECOMMENDED = "recommended"  # the defaults, said out loud
_FOR_RESULTS = ("checkpoints", "output")
DEMO = Path(str(files("medlora") / "demo"))
_VARIABLES = frozenset((*(place.variable for place in PLACES), *VARIABLES))
_QUOTES = ("'", '"')
# Names as they are without the double underscore that parts section and key.
_BY_FLAT_NAME = {
    flat: PREFIX + "__".join(key.upper().split("."))
    for key in sorted(KEYS)
    if "." in key
    for flat in (key.upper().replace(".", "_"), key.upper().replace(".", "__"))
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line gave; None where an option was not used."""

    config: str | None = None
    data: str | None = None
    model: str | None = None
    checkpoints: str | None = None
    output: str | None = None
    overrides: tuple[str, ...] = ()
    statements: str | None = None

    def places(self) -> dict[str, str | None]:
        """Return the options that name places."""
        return {place.name: getattr(self, place.name) for place in PLACES}


@dataclass(frozen=True, slots=True)
class Plan:
    """A resolved run and what jobs have to know beside its config."""

    resolved: Resolved
    demo: bool
    root: Path
    volatile_output: bool  # the image's own /checkpoints, which nobody mounted
    has_model: bool = True  # somebody said which
    has_config: bool = True  # or that the recommended values are wanted
    statements: Path | None = None  # what people say of the model, for its cards
    job: Mapping[str, Any] = field(default_factory=dict)  # platform, job and attempt
    folders: Mapping[str, Path] = field(default_factory=dict)  # where the platform puts places
    remote: Mapping[str, Location] = field(default_factory=dict)  # results that are copied there
    temporary: tuple[Path, ...] = ()  # copies of what an object store holds, to be deleted

    def mount(self, name: str) -> Path:
        """Return where a place is mounted, whether it is or not; relative names count from it."""
        if name in self.folders:
            return self.folders[name]
        return self.root / next(place.mount for place in PLACES if place.name == name)


def resolve(
    options: Options,
    environment: Environment,
    *,
    allow_demo: bool = True,
    needed: Sequence[str] = ("data", "config", "model"),
) -> Plan:
    """Return the run that options, variables, mounts and files add up to.

    With no data, no model and no config given, on no batch service, that is the demo.

    Args:
        options: what the command line gave.
        environment: where we are.
        allow_demo: whether to run the demo, or to refuse, where parts are missing.
        needed: the parts that must be given, if any is.

    Raises:
        ConfigError: no config, or one that cannot be used.
        MissingPartError: no data or no model, where at least one part is given.
    """
    places = given_places(environment, options.places())
    variables = list(from_variables(environment.variables))
    overrides = list(from_options(options.overrides))
    config_file = _config_file(strongest(places["config"]))
    file = list(from_yaml(config_file)) if config_file else []
    service = batch_service(environment)
    hyper_file = service.settings_file(environment) if service and service.settings_file else None
    hyper = from_hyperparameters(hyper_file) if hyper_file else []
    keys = {setting.key for setting in (*file, *hyper, *variables, *overrides)}
    missing = [name for name in _missing(places, keys) if name != "config" or not hyper_file]
    demo = allow_demo and len(missing) == 3 and service is None  # noqa: PLR2004  (all three)
    refused = [name for name in missing if name in needed]
    settings = [
        *wrong_variables(environment),
        *_place_settings(places, "mount"),
        *(_demo_settings() if demo else file),
        *_place_settings(places, "platform"),
        *_extra_settings(environment, places),
        *hyper,
        *_place_settings(places, "variable"),
        *variables,
        *_place_settings(places, "option"),
        *overrides,
    ]
    resolved = load(settings)
    if refused and allow_demo and not demo:
        raise _missing_error(refused, service)
    origin = resolved.origin("training.output_dir")
    volatile = any(g.origin == origin and not g.mounted for g in places["checkpoints"].values())
    stated = {name: Path(g["platform"].value) for name, g in places.items() if "platform" in g}
    return Plan(
        resolved,
        demo,
        environment.root,
        volatile,
        has_model=demo or "model" not in missing,
        has_config=demo or "config" not in missing,
        statements=None if demo else _statements_file(options.statements, config_file),
        job=job_facts(environment),
        folders={name: path for name, path in stated.items() if path.is_dir()},
    )


def _missing(places: dict[str, dict[str, PlaceValue]], keys: set[str]) -> list[str]:
    """Return which of data, config and model nobody gave."""
    return [
        place.name
        for place in PLACES
        if place.name not in _FOR_RESULTS and not places[place.name] and place.key not in keys
    ]


def _missing_error(missing: list[str], service: Platform | None) -> Exception:
    why = f" (this is a job of {service.title}, so the demo is not run)" if service else ""
    names = " and ".join(missing)
    verb = "are" if len(missing) > 1 else "is"
    if missing == ["config"]:
        return no_config(why)
    ways = "; ".join(
        f"{place.name}: mount /{place.mount}, set {place.variable} or --{place.name}"
        for place in PLACES
        if place.name in missing
    )
    if service and service.how_to_give:
        ways = f"{service.how_to_give(missing)}; or {ways}"
    return MissingPartError(f"no {names} {verb} given{why}", fix=ways)


def no_config(why: str = "") -> ConfigError:
    """Return the error of a run without a config."""
    return ConfigError(
        f"no config is given{why}",
        fix="mount one at /config/config.yaml, set MEDLORA_CONFIG or --config; "
        f"--config {RECOMMENDED} trains with the recommended values",
    )


def wrong_variables(environment: Environment) -> Iterator[Setting]:
    """Yield each variable that is none of ours, or nearly one: a typo must not train with defaults.

    What Kubernetes sets for a service called medlora, and what our own scripts are told, stays.
    So do the keys, `MEDLORA_SECTION__KEY`, which are looked at with the file's.
    """
    for name, value in environment.variables.items():
        is_ours = name.startswith(PREFIX) and not is_of_others(name)
        problem = _wrong_name(name) or (_quoted(value) if is_ours else "")
        if problem:
            yield Setting((), None, f"variable {name}", problem=problem)


def _wrong_name(name: str) -> str:
    head, _, tail = name.partition("_")
    ours = tail in _BY_FLAT_NAME or f"{PREFIX}{tail}" in _VARIABLES
    if ours and is_one_edit(f"{head}_", PREFIX):
        return f"not known; did you mean {_BY_FLAT_NAME.get(tail, f'{PREFIX}{tail}')}?"
    if not name.startswith(PREFIX) or name in _VARIABLES or is_of_others(name):
        return ""
    if "__" in tail or tail.lower() in KEYS:
        return ""
    meant = _meant_variable(tail) or near_miss(name)
    key = nearest_key((tail.lower(),)) if meant is None else None
    meant = meant or (_variable_of(key) if key else None)
    hint = f"did you mean {meant}?" if meant else "a key is set as MEDLORA_SECTION__KEY"
    return f"not known; {hint}"


def _meant_variable(tail: str) -> str | None:
    """Return the variable of a key whose section and name are not parted by two underscores."""
    flat = next((known for known in _BY_FLAT_NAME if tail == known or is_one_edit(tail, known)), "")
    return _BY_FLAT_NAME.get(flat)


def _variable_of(key: str) -> str:
    return PREFIX + "__".join(key.upper().split("."))


def _quoted(value: str) -> str:
    """Say so if a value has quotes around it that a shell would have taken off."""
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        return "has quotes around its value; an env-file keeps them: write NAME=value"
    return ""


def _config_file(given: PlaceValue | None) -> Path | None:
    if given is None or given.value == RECOMMENDED:
        return None
    path = Path(given.value)
    if not path.is_dir():
        return path
    candidates = [path / name for name in CONFIG_NAMES if (path / name).is_file()]
    candidates = candidates or [
        file
        for file in sorted((*path.glob("*.yaml"), *path.glob("*.yml")))
        if file.name != STATEMENTS
    ]
    if len(candidates) != 1:
        files = f"{len(candidates)} YAML files" if candidates else "no YAML file"
        raise ConfigError(
            f"{path} ({given.origin}): {files} and no {CONFIG_NAMES[0]}",
            fix=f"put the config at {path / CONFIG_NAMES[0]} or name the file",
        )
    return candidates[0]


def _statements_file(option: str | None, config_file: Path | None) -> Path | None:
    """Return the statements that are named, else those beside the config, if there are any."""
    if option:
        return Path(option)
    beside = config_file.with_name(STATEMENTS) if config_file else None
    return beside if beside and beside.is_file() else None


def _place_settings(places: dict[str, dict[str, PlaceValue]], how: str) -> Iterator[Setting]:
    for place in PLACES:
        given = places[place.name].get(how)
        if given and place.key:
            yield Setting(tuple(place.key.split(".")), given.value, given.origin)


def _extra_settings(
    environment: Environment, places: dict[str, dict[str, PlaceValue]]
) -> Iterator[Setting]:
    """Yield what the platform gives beside places; no evaluation rows to other training rows."""
    stated = platform_places(environment)
    for name, key in EXTRAS.items():
        others = name == "eval_data" and {"variable", "option"} & places["data"].keys()
        if name in stated and not others:
            yield Setting(tuple(key.split(".")), stated[name].value, stated[name].origin)


def _demo_settings() -> Sequence[Setting]:
    """Return the demo's config; its data and model sit beside it in the package."""
    return [
        Setting(("data", "path"), str(DEMO / "data"), "demo"),
        Setting(("model", "base_model_name"), str(DEMO / "base"), "demo"),
        Setting(("gate", "suites"), [str(DEMO / "careful.jsonl")], "demo"),
        *(Setting(s.path, s.value, "demo") for s in from_yaml(DEMO / "demo.yaml")),
    ]
