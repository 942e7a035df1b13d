"""Where settings come from: YAML with line numbers, variables, options.

Each source yields `Setting`s; which of them wins is decided in `load`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medlora.config.schema import RunConfig, section_at
from medlora.errors import ConfigError

PREFIX = "MEDLORA_"
_PLAIN = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "str"))


@dataclass(frozen=True, slots=True)
class Setting:
    """One value for one key, and the place that a person would have to edit."""

    path: tuple[str, ...]
    value: Any
    origin: str

    @property
    def key(self) -> str:
        """The dotted key, e.g. `lora.r`."""
        return ".".join(self.path)


def from_yaml(file: Path) -> Iterator[Setting]:
    """Yield the settings of a YAML file, each with `file:line`.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or is not a mapping.
    """
    root = _parse(file)
    if root is not None:
        yield from _walk(root, (), str(file))


def from_variables(environ: Mapping[str, str]) -> Iterator[Setting]:
    """Yield a setting for each `MEDLORA_SECTION__KEY` variable and for top-level keys."""
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if len(path) > 1 or (path[0] in RunConfig.model_fields and not section_at(path)):
            yield Setting(path, read_text(environ[name]), f"variable {name}")


def from_options(overrides: Sequence[str]) -> Iterator[Setting]:
    """Yield a setting for each `key=value` of the command line.

    Raises:
        ConfigError: an override has no `=`.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text}: not KEY=VALUE", fix="e.g. --set lora.r=16")
        yield Setting(tuple(key.strip().split(".")), read_text(value), f"option --set {key}")


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
        except yaml.YAMLError:
            return text
    return text


def _parse(file: Path) -> yaml.Node | None:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: byte {error.start} is not UTF-8", fix="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="name a readable YAML file") from None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else f"{file}"
        what = getattr(error, "problem", None) or "special characters are not allowed"
        raise ConfigError(f"{where}: not YAML: {what}", fix="correct the line") from None
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply", fix="three levels are enough") from None


def _walk(node: yaml.Node, path: tuple[str, ...], file: str) -> Iterator[Setting]:
    """Yield the leaves below a node; a section's null counts as an empty section."""
    where = f"{file}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode) and section_at(path):
        seen: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise ConfigError(
                    f"{file}:{line}: {'.'.join((*path, name))} is set twice",
                    fix="delete one of the two",
                )
            seen.add(name)
            yield from _walk_value(value, (*path, name), file, line)
    elif not _is_null(node):
        what = ".".join(path) or "the file"
        raise ConfigError(
            f"{where}: {what} must be a section of `key: value` lines",
            fix="see configs/recommended.yaml",
        )


def _walk_value(value: yaml.Node, path: tuple[str, ...], file: str, line: int) -> Iterator[Setting]:
    if section_at(path):
        yield from _walk(value, path, file)
    else:
        yield Setting(path, construct(value), f"{file}:{line}")


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


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
