"""What a value of a key must be, in words: `a whole number of at least 1`."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from medlora.config.declaration import Section
from medlora.config.schema import RunConfig, about, section_at

_NUMBERS = {"integer": "a whole number", "number": "a number"}
_BOUNDS = {
    "exclusiveMinimum": "greater than",
    "minimum": "of at least",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
_MILLION = 1_000_000
_QUANTITIES = frozenset(("integer", "number"))


def field_schema(key: str) -> dict[str, Any]:
    """Return the JSON Schema of a key's value."""
    *path, name = key.split(".")
    schema: dict[str, Any] = _properties(section_at(tuple(path)) or RunConfig)[name]
    return schema


@cache
def _properties(section: type[Section]) -> dict[str, Any]:
    properties: dict[str, Any] = section.model_json_schema()["properties"]
    return properties


@cache
def allowed(key: str) -> str:
    """Return what a value of the key must be; follows `must be`."""
    return about(key).must_be or _words(field_schema(key))


def choices(key: str) -> list[str]:
    """Return the words that a key may be, none where it is no choice."""
    return list(_choices(field_schema(key)))


def is_quantity(key: str) -> bool:
    """Tell whether a key is a number, or may be one."""
    schema = field_schema(key)
    kinds = {branch.get("type") for branch in (schema, *schema.get("anyOf", ()))}
    return bool(kinds & _QUANTITIES)


def _words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        branches = schema["anyOf"]
        # null last; what else there is in the order of the schema
        ordered = sorted(branches, key=_is_null)
        alternatives = dict.fromkeys(_words(branch) for branch in ordered if not _is_null(branch))
        words = " or ".join(alternatives)
        return f"{words}, or null" if _is_null(ordered[-1]) else words
    if "enum" in schema or "const" in schema:
        *others, last = [str(choice) for choice in schema.get("enum", [schema.get("const")])]
        return f"{', '.join(others)} or {last}" if others else last
    return _typed(schema)


def _is_null(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "null"


def _typed(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "")
    if kind in _NUMBERS:
        return " ".join((_NUMBERS[kind], " and ".join(_bounds(schema)))).strip()
    if kind == "array":
        inner = _words(schema["items"])
        return f"a list of {'names' if inner == 'text' else inner}"
    named = {"boolean": "true or false", "string": "text"}
    return named[kind]


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for name, words in _BOUNDS.items():
        if name in schema:
            yield f"{words} {_number(schema[name])}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _MILLION else f"{value:g}"


def _choices(schema: dict[str, Any]) -> Iterator[str]:
    for part in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        yield from map(str, part.get("enum", ()))
        if "const" in part:
            yield str(part["const"])
