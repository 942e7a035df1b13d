"""What a key means, for people: unit, range, default, whose name it is; and all keys as a page."""

import inspect
from collections.abc import Iterator

from medlora.config.allowed_values import allowed
from medlora.config.declaration import Section
from medlora.config.resolved import Resolved
from medlora.config.schema import KEYS, RunConfig, about, all_keys, field_at, section_at
from medlora.config.sourced_value import PREFIX
from medlora.config.suggestions import nearest_key, nearest_section
from medlora.config.yaml_output import scalar
from medlora.errors import ConfigError
from medlora.escape import escaped

_OURS = "MedLoRA"


def meaning(key: str) -> str:
    """Return what a key decides."""
    return field_at(key).description or ""


def unit(key: str) -> str | None:
    """Return what a key counts, None where it is no number."""
    return about(key).unit


def default(key: str) -> str:
    """Return a key's default as YAML."""
    return scalar(field_at(key).default)


def source(key: str) -> str:
    """Return whose name and meaning a key has."""
    library = about(key).source
    return f"{library}.{key.rpartition('.')[-1]}" if library else _OURS


def explain(key: str, resolved: Resolved) -> str:
    """Return a few lines about a key, or about each key of a section.

    Args:
        key: dotted.
        resolved: what it is now.

    Raises:
        ConfigError: there is no such key; names the one that was meant.
    """
    if key in KEYS:
        return "\n".join(_lines(key, resolved))
    below = [name for name in all_keys() if name.startswith(f"{key}.")]
    if below:
        width = max(map(len, below))
        return "\n".join(f"{name:<{width}}  {meaning(name)}" for name in below)
    path = tuple(key.split("."))
    guess = nearest_key(path) or nearest_section(path)
    fix = f"did you mean {guess}?" if guess else "`medlora config` lists every key"
    raise ConfigError(f"unknown key {key}", fix=fix)


def _lines(key: str, resolved: Resolved) -> Iterator[str]:
    value = next(value for name, value, _ in resolved.rows() if name == key)
    yield key
    yield f"  meaning   {meaning(key)}"
    yield f"  allowed   {allowed(key)}"
    if unit(key):
        yield f"  unit      {unit(key)}"
    yield f"  default   {default(key)}"
    yield f"  now       {scalar(value)} ({escaped(resolved.origin(key))})"
    yield f"  source    {source(key)}"
    yield f"  set it    --set {key}=... or {variable(key)}=..."


def variable(key: str) -> str:
    """Return the environment variable that sets a key."""
    return PREFIX + key.upper().replace(".", "__")


def reference() -> str:
    """Return the page of all keys, in Markdown."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Every key, from the schema; `medlora config --reference` prints this page, and a test"
    yield "keeps it true. A key is set, weakest first, by its default, the YAML file, a variable"
    yield "(`MEDLORA_LORA__R=16` for `lora.r`) or an option (`--set lora.r=16`).  `medlora config`"
    yield "prints all values with their origin, `medlora config --explain lora.r` says what one"
    yield "means. Editors complete keys from `configs/medlora.schema.json`, which `medlora config"
    yield "--schema` prints, where a file's first line is"
    yield ""
    yield "```yaml"
    yield "# yaml-language-server: $schema=medlora.schema.json"
    yield "```"
    yield from _part(RunConfig, ())


def _part(section: type[Section], path: tuple[str, ...]) -> Iterator[str]:
    here = ".".join(path)
    yield ""
    yield f"{'#' * (2 if len(path) < 2 else 3)} {f'`{here}`' if here else 'The run'}"  # noqa: PLR2004
    yield ""
    yield (inspect.getdoc(section) or "").splitlines()[0]
    yield ""
    keys = [name for name in section.model_fields if not section_at((*path, name))]
    if keys:
        yield "| key | meaning | must be | unit | default | name and meaning |"
        yield "|---|---|---|---|---|---|"
    for name in keys:
        yield _row(".".join((*path, name)))
    for name in section.model_fields:
        below = section_at((*path, name))
        if below:
            yield from _part(below, (*path, name))


def _row(key: str) -> str:
    cells = (meaning(key), allowed(key), unit(key) or "", f"`{default(key)}`", source(key))
    return f"| `{key}` | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
