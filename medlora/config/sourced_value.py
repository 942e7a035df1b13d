"""One value for one key and where it came from; variables and options as such settings.

`yaml_file` and `sagemaker_hyperparameters` yield the same; `resolved` decides which of them wins.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from medlora.config.schema import RunConfig, section_at

PREFIX = "MEDLORA_"
_PLAIN = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "str"))


@dataclass(frozen=True, slots=True)
class Setting:
    """One value for one key, and the place that a person would have to edit.

    Attributes:
        path: of the key, e.g. ("lora", "r").
        value: as the source has it.
        origin: the source: `file:line`, a variable, an option.
        at: where exactly, if that is known better: `file:line:column`.
        problem: why this cannot be used, whatever key it is for; "" where nothing is wrong.
    """

    path: tuple[str, ...]
    value: Any
    origin: str
    at: str = ""
    problem: str = ""

    @property
    def key(self) -> str:
        """The dotted key, e.g. `lora.r`."""
        return ".".join(self.path)

    @property
    def place(self) -> str:
        """The most exact place that is known."""
        return self.at or self.origin


def _wrong(place: str, problem: str) -> Setting:
    return Setting((), None, place, problem=problem)


def from_variables(environ: Mapping[str, str]) -> Iterator[Setting]:
    """Yield a setting for each `MEDLORA_SECTION__KEY` variable and for top-level keys."""
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if len(path) > 1 or (path[0] in RunConfig.model_fields and not section_at(path)):
            yield Setting(path, read_text(environ[name]), f"variable {name}")


def from_options(overrides: Sequence[str]) -> Iterator[Setting]:
    """Yield a setting for each `key=value` of the command line."""
    for text in overrides:
        key, equals, value = text.partition("=")
        if equals and key.strip():
            yield Setting(tuple(key.strip().split(".")), read_text(value), f"option --set {key}")
        else:
            yield _wrong(f"option --set {text}", "not KEY=VALUE, e.g. --set lora.r=16")


def read_text(text: str) -> Any:  # noqa: ANN401  (any YAML value)
    """Return a variable's or option's value; only lists and null need more than text.

    Numbers stay text: the schema turns them into the field's own type, so that `1e-4`
    (text to YAML) is a number and a name such as `0042` stays a name.
    """
    if text.strip() in ("null", "~"):
        return None
    if text.lstrip().startswith("["):
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError):
            return text
    return text


def construct(node: yaml.Node) -> Any:  # noqa: ANN401  (any YAML value)
    """Build a leaf's value; YAML 1.1 reads `1e-4` and `1_0` oddly, so numbers stay text."""
    plain = isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN
    if plain and re.fullmatch(r"[-+.\d][-+.\w]*", node.value):
        return node.value
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError):
        return f"<{node.tag.removeprefix('tag:yaml.org,2002:')}>"
