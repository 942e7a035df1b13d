"""What is known of a platform that runs batch jobs: one record each, which `registry` holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from medlora.runtime.environment import Environment
from medlora.runtime.place_with_origin import PlaceValue
from medlora.runtime.topology_source import Claim


class LocalPath(Protocol):
    """Finds a location that the platform mounts."""

    def __call__(self, value: str, source: str, environment: Environment) -> str:
        """Return where a value is in the file system; one that needs no finding stays as it is."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform.

    Attributes:
        name: in `medlora doctor` and in manifests.
        title: its name for people.
        mark: returns what shows that a job runs there, e.g. `variable SLURM_JOB_ID`; else None.
        grace_s: seconds that it leaves a job between SIGTERM and SIGKILL.
        job: the variable that holds the job's name or id.
        attempt: the variable that counts the job's attempts.
        first_attempt: what that counts from.
        nodes: returns what it says of the machines of a job; None where it says nothing.
        places: returns where it has put data and model, and takes results from; keys are the names
            of `places.PLACES` and `places.EXTRAS`.
        local_path: finds what it mounts.
        settings_file: returns its own file of settings, see `config.hyperparameters`.
        failure_file: returns where it looks for the cause of a failure.
        how_to_give: says how parts that are missing are given there.
        unkept: what it means that there is no folder for checkpoints, to be warned of.
        copied_to: the object store to which it copies the folder for checkpoints, a link's target
            once more; None where it copies nothing.
    """

    name: str
    title: str
    mark: Callable[[Environment], str | None]
    grace_s: int
    job: str | None = None
    attempt: str | None = None
    first_attempt: int = 1
    nodes: Callable[[Environment], Claim | None] | None = None
    places: Callable[[Environment], dict[str, PlaceValue]] | None = None
    local_path: LocalPath | None = None
    settings_file: Callable[[Environment], Path | None] | None = None
    failure_file: Callable[[Environment], Path | None] | None = None
    how_to_give: Callable[[Sequence[str]], str] | None = None
    unkept: str | None = None
    copied_to: str | None = None


def by_variables(*names: str) -> Callable[[Environment], str | None]:
    """Return the mark of a platform that sets one of these variables."""

    def mark(environment: Environment) -> str | None:
        present = (name for name in names if name in environment.variables)
        return next((f"variable {name}" for name in present), None)

    return mark
