"""Where on this machine a run works on what lies in an object store."""

import os

from medlora.runtime.environment import Environment, Fact

WORK = "MEDLORA_WORK"
FETCHED = "MEDLORA_FETCHED"  # by the process that started this one as a worker
_SCRATCH = "scratch"


def find_scratch_dir(environment: Environment) -> Fact[str]:
    """Return the working directory: MEDLORA_WORK, else /scratch where it is there, else /tmp's.

    The last is shared with other users on some machines, so it has this one's number.
    """
    stated = environment.text(WORK)
    if stated:
        return stated
    scratch = environment.root / _SCRATCH
    if scratch.is_dir() and os.access(scratch, os.W_OK | os.X_OK):
        return Fact(str(scratch / "medlora"), f"folder {scratch}")
    named = environment.text("TMPDIR")
    temporary = named.value if named else str(environment.root / "tmp")
    source = named.source if named else "default"
    return Fact(f"{temporary}/medlora-{os.getuid()}", source)


def is_temporary(work: Fact[str]) -> bool:
    """Tell whether nobody gave a place, so that nothing is to be left there."""
    return work.source == "default" or work.source.endswith("TMPDIR")


def is_fetched(environment: Environment) -> bool:
    """Tell whether this is a worker for which the inputs were fetched already."""
    return FETCHED in environment.variables
