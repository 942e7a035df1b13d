"""The resolved config as YAML that can be used as a config again, origins as comments."""

from collections.abc import Iterator
from decimal import Decimal

import yaml

from medlora.config.resolved import Resolved
from medlora.escape import escaped

_COMMENT_COLUMN = 52


def as_yaml(resolved: Resolved) -> str:
    """Return every key with its value and, as a comment, where the value came from."""
    return "\n".join(_lines(resolved)) + "\n"


def _lines(resolved: Resolved) -> Iterator[str]:
    open_sections: list[str] = []
    for key, value, origin in resolved.rows():
        *sections, name = key.split(".")
        for depth, section in enumerate(sections):
            if open_sections[: depth + 1] != sections[: depth + 1]:
                yield f"{'  ' * depth}{section}:"
        open_sections = sections
        text = f"{'  ' * len(sections)}{name}: {scalar(value)}"
        yield f"{text:<{_COMMENT_COLUMN}} # {escaped(origin)}"


def scalar(value: object) -> str:
    """Return a value in YAML's flow style, on one line, floats in plain digits."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return dumped.removesuffix("\n...\n").strip()
