"""What one source says about the topology, and what all of them need to say it."""

import json
from dataclasses import dataclass
from typing import Any

from medlora.errors import ConfigError, MissingPartError
from medlora.runtime.environment import Environment, Fact, kind_of


@dataclass(frozen=True, slots=True)
class Claim:
    """One source's view of the job; None where it says nothing.

    `main` is the rank of the machine where the others meet; `address_name` names the variable
    that a missing address is to be set in.
    """

    node_rank: Fact[int]
    num_nodes: Fact[int]
    workers_per_node: Fact[int] | None = None
    master_addr: Fact[str] | None = None
    master_port: Fact[int] | None = None
    rank: Fact[int] | None = None
    local_rank: Fact[int] | None = None
    network_interface: Fact[str] | None = None
    main: int = 0
    address_name: str = "MASTER_ADDR"


def needed(environment: Environment, name: str, *, beside: str, least: int = 0) -> Fact[int]:
    """Return a variable that another one makes necessary.

    Raises:
        MissingPartError: it is not set.
        ConfigError: it is no number.
    """
    number = environment.number(name, least=least)
    if number is None:
        raise MissingPartError(
            f"variable {name} is not set, although {beside} is", fix=f"set {name}, or neither"
        )
    return number


def one_text(environment: Environment, *names: str) -> Fact[str] | None:
    """Return the one value of variables that mean the same, None where none is set.

    Raises:
        ConfigError: two differ.
    """
    facts = [fact for name in names if (fact := environment.text(name))]
    for fact in facts[1:]:
        if fact.value != facts[0].value:
            raise ConfigError(
                f"{facts[0].source} and {fact.source} disagree",
                fix="unset the one that does not belong to this job",
            )
    return facts[0] if facts else None


def one_number(environment: Environment, *names: str, least: int = 0) -> Fact[int] | None:
    """Return the one number of variables that mean the same, None where none is set.

    Raises:
        ConfigError: two differ, or one is no number.
    """
    for name in names:
        environment.number(name, least=least)
    fact = one_text(environment, *names)
    return Fact(int(fact.value), fact.source) if fact else None


def read_object(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object of a variable or a file.

    Raises:
        ConfigError: it is none; the text is not shown.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{source}: not JSON{where}", fix=_PLATFORM_S) from None
    if not isinstance(value, dict):
        raise malformed(source, "must be an object", value)
    return value


def malformed(source: str, must: str, value: object) -> ConfigError:
    """Return the error about a platform's value that is not of the kind it should be."""
    return ConfigError(f"{source}: {must} (got {kind_of(value)})", fix=_PLATFORM_S)


def names_in(value: Any) -> list[str]:  # noqa: ANN401  (any JSON value)
    """Return a list of names as it is, and [] for anything else."""
    fits = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
    return list(value) if fits else []


_PLATFORM_S = "the platform sets this: do not change it; outside the platform, remove it"
