"""What decides an adapter: config, data, base model; and how two runs differ in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlora.config import Resolved, about
from medlora.report.manifest_schema import InputFacts


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a run as its manifests state them."""

    base: Path
    facts: InputFacts


def fingerprint(
    resolved: Resolved, *, data: dict[str, str], base: dict[str, str]
) -> dict[str, Any]:
    """Return {name: value} of all that decides the adapter.

    Args:
        resolved: the run config; only keys that are declared to decide the adapter count.
        data: {split: SHA-256 of its file}.
        base: {file: SHA-256} of the base model.
    """
    rows = resolved.rows()
    config = {key: value for key, value, _ in rows if about(key).decides == "adapter"}
    files = {f"data.{split}": digest for split, digest in data.items()}
    return {**config, **files, **{f"base.{name}": digest for name, digest in base.items()}}


def changed_names(
    then: dict[str, Any], now: dict[str, Any], *, ignore: tuple[str, ...] = ()
) -> list[str]:
    """Return the names that differ, sorted.

    Args:
        then: a fingerprint, as a manifest states it.
        now: the present one.
        ignore: names that may differ; `data` or `base` stands for all names below it.
    """
    ignored = tuple(f"{name}." for name in ignore)
    return [
        name
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name) and not f"{name}.".startswith(ignored)
    ]


def differences(
    then: dict[str, Any], now: dict[str, Any], *, ignore: tuple[str, ...] = ()
) -> list[str]:
    """Return a line for each of the `changed_names`, with both values."""
    return [
        f"{name}: {_shown(then.get(name))} then, {_shown(now.get(name))} now"
        for name in changed_names(then, now, ignore=ignore)
    ]


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    is_digest = len(text) == 64 and text.isalnum()  # noqa: PLR2004  (SHA-256 in hexadecimal)
    return f"SHA-256 {text[:12]}..." if is_digest else text
