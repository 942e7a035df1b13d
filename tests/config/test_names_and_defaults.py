"""Configs of users rely on names, ranges, defaults and aliases: `names_and_defaults.json` has them.

A change that is meant is renewed with `.venv/bin/python tests/config/test_names_and_defaults.py`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medlora.config.allowed_values import allowed
from medlora.config.schema import about, all_keys, field_at

FILE = Path(__file__).with_name("names_and_defaults.json")
MEANT = (
    "If this is meant, say so in CHANGELOG.md, for it changes what a config of today means, and "
    "renew the file with\n  .venv/bin/python tests/config/test_names_and_defaults.py"
)


def declared() -> dict[str, dict[str, Any]]:
    """What users rely on, by key, in the order of the schema."""
    return {
        key: {
            "must be": allowed(key),
            "default": field_at(key).default,
            "also": list(about(key).also),
            "decides": about(key).decides,
        }
        for key in all_keys()
    }


def as_text() -> str:
    """The same as JSON, a key a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(facts)}" for key, facts in declared().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def changes(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """A line for each key that is gone or new, and for each fact that is another."""
    for key in sorted(then.keys() | now.keys()):
        if key not in now:
            yield f"{key} is gone: a config that sets it is refused"
        elif key not in then:
            yield f"{key} is new"
        else:
            for name, fact in then[key].items():
                if now[key][name] != fact:
                    yield f"{key}: {name} was {fact!r}, is {now[key][name]!r}"


def test_names_and_defaults_are_those_that_users_rely_on() -> None:
    """A renamed key, another range or default, a removed alias: each is a decision."""
    committed = FILE.read_text(encoding="utf-8")
    differences = list(changes(json.loads(committed), declared()))
    assert not differences, "\n".join(["the config has changed:", *differences, "", MEANT])
    assert committed == as_text(), f"{FILE.name} is not as it is written.\n{MEANT}"


if __name__ == "__main__":
    FILE.write_text(as_text(), encoding="utf-8")
