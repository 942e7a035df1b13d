"""What `medlora check` reports of a machine, of memory and of a few timed steps, as its JSON."""

from typing import NotRequired, TypedDict


class Gpu(TypedDict):
    """A GPU that torch can use."""

    name: str
    memory_bytes: int


class Devices(TypedDict):
    """What torch computes on here."""

    device: str
    cpus: int
    driver: str | None
    torch_cuda: str | None
    gpus: list[Gpu]


class FolderAccess(TypedDict):
    """Whether a folder of the run can be written."""

    writable: bool


class Folders(TypedDict):
    """The folders of a run, by name, and the machine's shared memory."""

    folders: dict[str, FolderAccess]
    shared_memory_bytes: int


class DeviceMemory(TypedDict):
    """The device of a forecast."""

    kind: str
    memory: int  # bytes
    bf16: bool
    name: str


class MemoryFacts(TypedDict):
    """The predicted memory of a run.

    Attributes:
        parts: bytes by name, those of `train.footprint`.
        rows: of a micro-batch.
        micro_batches: of a step.
        positions: of the largest micro-batch.
        fits: whether the peak is below the capacity.
        largest_rows: of a micro-batch that fits, None where not one row does.
    """

    device: DeviceMemory
    capacity_bytes: int
    peak_bytes: int
    parts: dict[str, int]
    recomputed: bool
    rows: int
    micro_batches: int
    positions: int
    fits: bool
    largest_rows: int | None
    trainable_parameters: int


class Probe(TypedDict):
    """What a few steps took, and how long all of them would take; times in seconds."""

    steps: int
    evaluations: int
    probed_steps: int
    step_s: float
    tokens_per_s: float
    expected_s: float
    peak_bytes: int
    predicted_bytes: NotRequired[int]  # of the same steps
