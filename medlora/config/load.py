"""Merge the sources, weakest first, and report every problem at once with its origin."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from medlora.config.schema import RunConfig, all_keys, section_at
from medlora.config.sources import Setting
from medlora.errors import ConfigError, listed

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A valid run config; `origins` has the source of every key that is not a default."""

    config: RunConfig
    origins: dict[str, str]

    def origin(self, key: str) -> str:
        """Return where a key's value came from, `default` where nobody set it."""
        return self.origins.get(key, DEFAULT)

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Yield (dotted key, value, origin) for every key, in the order of the schema."""
        for key in all_keys():
            value: Any = self.config
            for name in key.split("."):
                value = getattr(value, name)
            yield key, value, self.origin(key)


def load(settings: Iterable[Setting]) -> Resolved:
    """Return the run config that the settings make; later settings win.

    Raises:
        ConfigError: unknown keys or bad values, all of them in one message.
    """
    nested: dict[str, Any] = {}
    chosen: dict[str, Setting] = {}
    problems: list[str] = []
    for setting in settings:
        if setting.key not in KEYS:
            problems.append(_unknown(setting))
            continue
        chosen[setting.key] = setting
        _put(nested, setting.path, setting.value)
    try:
        config = RunConfig.model_validate(nested)
    except ValidationError as error:
        problems += _invalid(error, chosen)
    if problems:
        raise ConfigError(
            listed(problems, what="the configuration cannot be used"),
            fix="correct each line; `medlora config` lists every key",
        )
    return Resolved(config, {key: setting.origin for key, setting in chosen.items()})


KEYS = frozenset(all_keys())


def nearest_key(path: tuple[str, ...]) -> str | None:
    """Return the key that was most likely meant, or None.

    A right name in the wrong section counts before a similar one in the right section.
    """
    key = ".".join(path)
    by_name = {known.rsplit(".", 1)[-1]: known for known in sorted(KEYS, reverse=True)}
    if path[-1] in by_name:
        return by_name[path[-1]]
    close = get_close_matches(key, KEYS, n=1, cutoff=0.75)
    if not close:
        close = [by_name[name] for name in get_close_matches(path[-1], by_name, n=1, cutoff=0.7)]
    return close[0] if close else None


def _unknown(setting: Setting) -> str:
    if section_at(setting.path):
        return f"{setting.origin}: {setting.key} is a section: set one of its keys"
    guess = nearest_key(setting.path)
    hint = f"; did you mean {guess}?" if guess else ""
    return f"{setting.origin}: unknown key {setting.key}{hint}"


def _put(nested: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        nested = nested.setdefault(name, {})
    nested[path[-1]] = value


def _invalid(error: ValidationError, chosen: dict[str, Setting]) -> Iterator[str]:
    """Yield a line for each bad key; a value that no branch of a union takes is said once."""
    seen: set[str] = set()
    for item in error.errors(include_url=False):
        key = _key_of(item["loc"])
        if key in seen:
            continue
        seen.add(key)
        setting = chosen.get(key) or _below(chosen, key)
        got = f" (got {_shown(item['input'])})" if key in chosen else ""
        yield f"{setting.origin if setting else DEFAULT}: {key} {_must(item['msg'])}{got}"


def _must(message: str) -> str:
    """Say pydantic's message in our words: `must be at least 1`."""
    what = message.split(", unable to parse", maxsplit=1)[0].removeprefix("Value error, ")
    for theirs, ours in _WORDS.items():
        what = what.replace(theirs, ours)
    return what


_WORDS = {
    "Input should be greater than or equal to": "must be at least",
    "Input should be less than or equal to": "must be at most",
    "Input should": "must",
    "List should": "must",
    "String should": "must",
    "a valid ": "a ",
    "a integer": "a whole number",
}


def _key_of(loc: tuple[int | str, ...]) -> str:
    """Cut pydantic's location to the longest prefix that is a key or a section."""
    names = [str(part) for part in loc]
    for end in range(len(names), 0, -1):
        key = ".".join(names[:end])
        if key in KEYS or section_at(tuple(names[:end])):
            return key
    return ".".join(names)


def _below(chosen: dict[str, Setting], section: str) -> Setting | None:
    return next((s for key, s in chosen.items() if key.startswith(f"{section}.")), None)


def _shown(value: object) -> str:
    text = "a section" if isinstance(value, dict | BaseModel) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  (a line's width)


def from_mapping(config: Mapping[str, Any]) -> RunConfig:
    """Return the run config of nested dicts, as the Python API takes it.

    Raises:
        ConfigError: unknown keys or bad values, all of them in one message.
    """
    return load(_settings_of(config, ())).config


def _settings_of(config: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Setting]:
    for name, value in config.items():
        here = (*path, str(name))
        if isinstance(value, Mapping) and section_at(here):
            yield from _settings_of(value, here)
        else:
            yield Setting(here, value, "config")
