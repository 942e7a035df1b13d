"""Locations in an object store become folders here: inputs are fetched, results mirrored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medlora.config import Resolved, RunConfig, about
from medlora.errors import ConfigError
from medlora.files import make_folder, remove
from medlora.logs import logger
from medlora.plan.resolve_run import Options, Plan
from medlora.runtime import PLACES, Environment
from medlora.runtime.places import given_places, strongest
from medlora.runtime.scratch_dir import find_scratch_dir, is_fetched, is_temporary
from medlora.storage.fetch import fetch, local_copy
from medlora.storage.location import Location, is_location, parse
from medlora.storage.scratch import one_at_a_time, open_scratch
from medlora.storage.store import Store

_log = logger(__name__)
_PLACES = {place.key: place.name for place in PLACES if place.key}
_INPUTS = tuple(key for key in _PLACES if about(key).decides == "input")
_RESULTS = {key: name for key, name in _PLACES.items() if about(key).decides == "output"}


def with_local_config(options: Options, environment: Environment) -> Options:
    """Return the options with a config file from an object store brought here.

    Raises:
        MedloraError: it is not there, or cannot be fetched.
    """
    given = strongest(given_places(environment, options.places())["config"])
    if given is None or not is_location(given.value):
        return options
    work = _Work(environment)
    return replace(options, config=str(work.take(parse(given.value, given.origin))))


def localise(plan: Plan, environment: Environment, *, config: str | None = None) -> Plan:
    """Return the plan with folders of this machine in place of locations; the inputs are there.

    Nothing happens, and no library is loaded, where the plan has no such location.

    Args:
        plan: what to run.
        environment: where we are.
        config: the config file, which may be a copy that `with_local_config` made.

    Raises:
        ConfigError: a location cannot be used, or stands where only a folder may.
        MissingPartError: credentials, bucket, object, network or library are missing.
        StorageError: no room here, or the service failed.
    """
    stated = {
        key: (parse(item, f"{origin}: {key}"), origin)
        for key, value, origin in plan.resolved.rows()
        for item in (value if isinstance(value, list) else [value])
        if is_location(item)
    }
    if not stated:
        return plan
    _refuse_others(stated)
    work = _Work(environment)
    work.know(config)
    values, origins = dict[str, str](), dict(plan.resolved.origins)
    for key, (location, origin) in stated.items():
        use: Callable[[Location], Path] = work.take if key in _INPUTS else work.give
        values[key] = str(use(location))
        origins[key] = f"{origin}: {location}"
    remote = {_RESULTS[key]: stated[key][0] for key in _RESULTS if key in stated}
    return replace(
        plan,
        resolved=Resolved(_with_values(plan.resolved.config, values), origins),
        remote=remote,
        temporary=work.to_delete,
        volatile_output=plan.volatile_output and "checkpoints" not in remote,
    )


def leave(plan: Plan) -> None:
    """Delete the copies here after a run that ended well, where nobody named a place for them."""
    for place in plan.temporary:
        if place.is_dir():
            remove(place)


def _refuse_others(stated: dict[str, tuple[Location, str]]) -> None:
    for key, (location, origin) in stated.items():
        if key not in _INPUTS and key not in _RESULTS:
            raise ConfigError(
                f"{origin}: {key} cannot be in an object store (got {location})",
                fix=f"only {', '.join((*_INPUTS, *_RESULTS))} can; name a folder or a file",
            )


def _with_values(cfg: RunConfig, values: dict[str, str]) -> RunConfig:
    for key, value in values.items():
        section, _, name = key.partition(".")
        part = getattr(cfg, section).model_copy(update={name: value})
        cfg = cfg.model_copy(update={section: part})
    return cfg


class _Work:
    """The working directory, and what a run has in it."""

    def __init__(self, environment: Environment) -> None:
        work = find_scratch_dir(environment)
        self._folder, self._is_fetched = Path(work.value), is_fetched(environment)
        self._temporary = is_temporary(work)
        self._places: list[Path] = []
        if not self._is_fetched:
            open_scratch(self._folder, ours=self._temporary)
            _log.info("working directory: %s (%s)", *work)

    @property
    def to_delete(self) -> tuple[Path, ...]:
        """The places that are to go in the end."""
        return tuple(self._places) if self._temporary and not self._is_fetched else ()

    def take(self, location: Location) -> Path:
        """Fetch an input, or find it fetched; return the local copy."""
        place = self._place("inputs", location)
        if not self._is_fetched:
            with one_at_a_time(place):
                fetch(Store(location), place)
        return local_copy(location, place)

    def give(self, location: Location) -> Path:
        """Return the folder for results that go to a location, which can be looked at."""
        place = self._place("results", location)
        if not self._is_fetched:
            make_folder(place, private=True)
            Store(location).check()
        return place

    def know(self, path: str | None) -> None:
        """Count a file among the copies if it is one."""
        inputs = self._folder / "inputs"
        if path and Path(path).is_relative_to(inputs):
            self._places.append(inputs / Path(path).relative_to(inputs).parts[0])

    def _place(self, kind: str, location: Location) -> Path:
        self._places.append(self._folder / kind / location.key)
        return self._places[-1]
