"""Settings merged, weakest first, into a run's config; every problem at once with its origin."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from medlora.config.allowed_values import allowed, choices
from medlora.config.schema import KEYS, RunConfig, all_keys, section_at
from medlora.config.sourced_value import Setting
from medlora.config.suggestions import nearest, nearest_key, nearest_section
from medlora.errors import ConfigError, below

DEFAULT = "default"
_MOST_HINTS = 200  # each takes a look at every key: a file of something else has thousands


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

    def with_values(self, values: Mapping[str, Any], *, origin: str) -> "Resolved":
        """Return the same with other values for some keys, all of one origin."""
        settings = [Setting(tuple(key.split(".")), value, origin) for key, value in values.items()]
        kept = [
            Setting(tuple(key.split(".")), value, source)
            for key, value, source in self.rows()
            if source != DEFAULT
        ]
        return load([*kept, *settings])


def load(settings: Iterable[Setting]) -> Resolved:
    """Return the run config that the settings make; later settings win.

    Raises:
        ConfigError: unknown keys or bad values, all of them in one message.
    """
    nested: dict[str, Any] = {}
    chosen: dict[str, Setting] = {}
    problems: list[str] = []
    for setting in settings:
        if setting.problem or setting.key not in KEYS:
            hint = len(problems) < _MOST_HINTS
            problems.append(f"{setting.place}: {setting.problem or _unknown(setting, hint=hint)}")
            continue
        chosen[setting.key] = setting
        _put(nested, setting.path, setting.value)
    config, invalid = _validated(nested, chosen)
    problems += invalid
    if problems or config is None:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ConfigError(
            below(f"the configuration cannot be used: {count}", sorted(problems, key=_in_order)),
            fix="correct each line; `medlora config --explain KEY` says what a key means",
        )
    return Resolved(config, {key: setting.origin for key, setting in chosen.items()})


def _in_order(problem: str) -> list[tuple[int, str]]:
    """Sort by place: lines as numbers, not as words."""
    parts = re.split(r"(\d+)", problem)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _unknown(setting: Setting, *, hint: bool) -> str:
    if section_at(setting.path):
        return f"{setting.key} is a section: set one of its keys"
    guess = nearest_key(setting.path) or nearest_section(setting.path) if hint else None
    meant = f"; did you mean {guess}?" if guess else ""
    return f"unknown key {setting.key}{meant}"


def _put(nested: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        nested = nested.setdefault(name, {})
    nested[path[-1]] = value


def _validated(
    nested: dict[str, Any], chosen: dict[str, Setting]
) -> tuple[RunConfig | None, list[str]]:
    """Return the config, or a line for each bad key and for each pair that contradicts itself.

    A section is looked at as a whole only once its keys are good: so the bad ones are taken out.
    """
    problems: list[str] = []
    while True:
        try:
            return RunConfig.model_validate(nested), problems
        except ValidationError as error:
            lines = _invalid(error, chosen)
        problems += lines.values()
        bad = lines.keys() & chosen.keys()
        if not bad:
            return None, problems
        for key in bad:
            _take(nested, key.split("."))


def _take(nested: dict[str, Any], path: list[str]) -> None:
    for name in path[:-1]:
        nested = nested[name]
    del nested[path[-1]]


def _invalid(error: ValidationError, chosen: dict[str, Setting]) -> dict[str, str]:
    """Return {key: line}; a value that no branch of a union takes has one line."""
    lines: dict[str, str] = {}
    for item in error.errors(include_url=False):
        key = _key_of(item["loc"])
        if key in lines:
            continue
        if key in chosen:
            value = chosen[key].value
            lines[key] = (
                f"{chosen[key].place}: {key} must be {allowed(key)} (got {_shown(value)})"
                f"{_meant(key, value)}"
            )
        else:  # what several keys of a section say together
            problem = item["msg"].removeprefix("Value error, ")
            lines[key] = f"{_place(problem, key, chosen)}: {key} {problem}"
    return lines


def _place(problem: str, section: str, chosen: dict[str, Setting]) -> str:
    """Return where one of the keys stands that a section's problem names."""
    inside = [setting for key, setting in chosen.items() if key.startswith(f"{section}.")]
    named = [setting for setting in inside if setting.path[-1] in problem.split()]
    return next((setting.place for setting in (*named, *inside)), DEFAULT)


def _meant(key: str, value: object) -> str:
    """Return the choice that was meant, in words."""
    words = value if isinstance(value, list) else [value]
    known = choices(key)
    for word in words:
        meant = nearest(str(word), known) if str(word) not in known else None
        if meant:
            return f"; did you mean {meant}?"
    return ""


def _key_of(loc: tuple[int | str, ...]) -> str:
    """Cut pydantic's location to the longest prefix that is a key or a section."""
    names = [str(part) for part in loc]
    for end in range(len(names), 0, -1):
        key = ".".join(names[:end])
        if key in KEYS or section_at(tuple(names[:end])):
            return key
    return ".".join(names)


def _shown(value: object) -> str:
    words = {None: "null", True: "true", False: "false"}
    if isinstance(value, bool | None):
        return words[value]
    text = "a section" if isinstance(value, dict | BaseModel) else str(value)
    if isinstance(value, list):
        text = f"[{', '.join(map(str, value))}]"
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
