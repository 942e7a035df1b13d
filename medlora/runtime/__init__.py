"""Where am I: the only reader of the environment (variables, mounts, services)."""

from medlora.runtime.environment import (
    Environment,
    batch_service,
    prepare_process,
    snapshot,
    variable,
)
from medlora.runtime.places import PLACES, Given, Place, given_places
from medlora.runtime.stop import Stop

__all__ = [
    "PLACES",
    "Environment",
    "Given",
    "Place",
    "Stop",
    "batch_service",
    "given_places",
    "prepare_process",
    "snapshot",
    "variable",
]
