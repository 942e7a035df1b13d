"""Whether a JSON value is what a type says: the keys of a TypedDict, no more, and their values."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

_PLAIN: dict[Any, Any] = {float: (int, float), None: type(None)}


def mismatches(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Yield each place at which a value is not what a type says."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_typeddict(origin or kind):
        yield from _of_keys(value, origin or kind, parts, place)
    elif not _is_of_kind(value, kind):
        yield f"{place}: {value!r:.80} is no {kind}"
    elif origin in (dict, list):
        items = value.items() if origin is dict else enumerate(value)
        for name, item in items:
            yield from mismatches(item, parts[-1], f"{place}/{name}")


def _is_of_kind(value: Any, kind: Any) -> bool:
    """Tell whether a value is of a kind; of dicts and lists, whether it is one."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return not all(any(mismatches(value, part)) for part in parts)
    if origin is Literal:
        return value in parts
    return isinstance(value, _PLAIN.get(kind, origin or kind))


def _of_keys(value: Any, kind: Any, parts: tuple[Any, ...], place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {value!r:.80} is no object"
        return
    for name in sorted(kind.__required_keys__ - value.keys()):
        yield f"{place}: {name} is missing"
    hints = get_type_hints(kind)
    variables = dict(zip(getattr(kind, "__parameters__", ()), parts, strict=False))
    for name, item in value.items():
        if name in hints:
            hint = variables.get(hints[name], hints[name])
            yield from mismatches(item, hint, f"{place}/{name}")
        else:
            yield f"{place}: {name} is in no type"
