"""SageMaker's hyperparameters: a flat JSON object whose values are texts.

Source: SageMaker, "How Amazon SageMaker provides training information".
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from medlora.config.schema import KEYS
from medlora.config.sourced_value import Setting, construct
from medlora.errors import ConfigError, listed

# What SageMaker's own toolkit and tuner put beside a user's.
_NOT_OURS = ("sagemaker_", "_tuning")


def from_hyperparameters(file: Path) -> list[Setting]:
    """Return a setting for each hyperparameter.

    A name is a key (`training.learning_rate`), or the end of just one (`learning_rate`).  A value
    is read as YAML: a number, a word, a list in brackets.

    Raises:
        ConfigError: the file is no such object; every name and value that cannot be read.
    """
    settings, problems = [], []
    for name, value in _read(file).items():
        if name.startswith(_NOT_OURS):
            continue
        try:
            key = _key(name)
            settings.append(Setting(tuple(key.split(".")), _value(value), f"{file}, {name}"))
        except ValueError as error:
            problems.append(f"{file}, {name}: {error}")
    problems += [f"{file}, {line}" for line in _twice(settings)]
    if problems:
        raise ConfigError(
            listed(problems, what="the hyperparameters cannot be used"),
            fix="correct each line; `medlora config` lists every key",
        )
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="let this user read it") from None
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{file}: not JSON{where}", fix='write {"KEY": "VALUE", ...}') from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: must be a JSON object", fix='write {"KEY": "VALUE", ...}')
    return content


def _key(name: str) -> str:
    """Return the key of a name; an unknown one stays as it is, to be refused with the others."""
    if name in KEYS:
        return name
    meant = sorted(key for key in KEYS if key.endswith(f".{name}"))
    if len(meant) > 1:
        raise ValueError(f"could be {' or '.join(meant)}: write the whole key")
    return meant[0] if meant else name


def _value(value: Any) -> Any:  # noqa: ANN401  (any JSON value, any YAML value)
    if isinstance(value, dict):
        raise ValueError("must be a string (got an object)")  # noqa: TRY004  (caught with the others)
    if not isinstance(value, str):
        return value
    try:
        node = yaml.compose(value, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"not a YAML value (got a string of {len(value)} characters)") from None
    if node is None:
        return value
    if isinstance(node, yaml.MappingNode):
        problem = "must be one value or a list (got a mapping: quote a string with a colon)"
        raise ValueError(problem)  # noqa: TRY004  (caught with the others)
    return construct(node)


def _twice(settings: list[Setting]) -> Iterator[str]:
    names = defaultdict(list)
    for setting in settings:
        names[setting.key].append(setting.origin.rsplit(", ", 1)[-1])
    for key, both in names.items():
        if len(both) > 1:
            yield f"{' and '.join(both)}: both set {key}"
