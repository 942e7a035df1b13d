"""How many GPUs a process here would see, without asking a driver."""

import re

from medlora.runtime.environment import Environment, Fact

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: Environment) -> Fact[int]:
    """Return the number of GPUs: the device nodes, as far as CUDA_VISIBLE_DEVICES lets see them.

    CUDA takes that list's entries up to the first that is none.  Source: CUDA programming guide,
    environment variables.
    """
    devices = environment.root / "dev"
    nodes = sum(1 for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia[0-9]+", path.name))
    listed = environment.variables.get(_VISIBLE)
    if listed is None:
        return Fact(nodes, f"{devices}/nvidia*" if nodes else "default")
    count = 0
    for entry in listed.split(","):
        if not _is_device(entry.strip(), nodes):
            break
        count += 1
    return Fact(count, f"variable {_VISIBLE}")


def _is_device(entry: str, nodes: int) -> bool:
    if entry.isdigit():
        return not nodes or int(entry) < nodes  # without device nodes there is nothing to compare
    return entry.startswith(("GPU-", "MIG-"))
