"""The manifest of a run as its JSON; each section is what the module that writes it returns.

Types alone: pages that only read a manifest import neither torch nor NumPy for them.
"""

from typing import Any, NotRequired, TypedDict, cast

from medlora.checkpoint.schema import Facts, Manifest
from medlora.data.audit.schema import DataAudit, SplitFacts
from medlora.data.privacy.schema import PrivacyFacts
from medlora.evaluate.schema import GateResult, SuiteSummary
from medlora.train.privacy_budget import Guarantee


class StatedSetting(TypedDict):
    """A key of the config: its value, and who set it."""

    value: Any
    origin: str


class StatedAudit(DataAudit):
    """The data audit without its lines, by the digest of the file that has them."""

    sha256: str


class DataFacts(TypedDict, total=False):
    """The data files by digest, by split, and what was counted of their rows."""

    sha256: dict[str, str]
    rows: dict[str, int]
    held_out_from_train_file: int
    split: SplitFacts | None
    forms: dict[str, int]
    audit: StatedAudit
    privacy: PrivacyFacts


class RowFacts(TypedDict):
    """The rows of a split as they are trained on."""

    rows: int
    tokens: int
    targets: int
    truncated_rows: int
    dropped_rows: int


class TokenFacts(TypedDict):
    """How rows became tokens, and how many there are."""

    max_length: int
    chat_template: str
    chat_template_sha256: str
    changes: dict[str, dict[str, int]]  # by split: what was done to rows, and to how many
    cache: dict[str, str]  # by split
    train: RowFacts
    eval: RowFacts


class BaseFacts(TypedDict):
    """The base model."""

    folder: str
    sha256: str  # of all its files together
    files: dict[str, str]
    parameters: NotRequired[int]


class AdapterFacts(TypedDict):
    """The adapter's shape."""

    trainable_parameters: int
    modules: dict[str, int]  # name -> layers


class Result(TypedDict, total=False):
    """What a run came to; losses in nats a target token."""

    steps: int
    tokens: int | None
    targets: int | None
    train_loss: float | None
    base_eval_loss: float | None
    eval_loss: float | None
    best_eval_loss: float | None
    best_step: int | None
    skipped_steps: int
    wall_s: float
    checkpoint_wait_s: float
    ended_early: str | None
    micro_batch_rows: int | None
    converged_step: int | None
    nothing_learnt: str | None
    memory_peak_bytes: int | None


Asked = TypedDict(
    "Asked",
    {
        "from": str,  # held-out rows, or a file
        "sha256": NotRequired[str],  # of the file
        "prompts": int,
    },
)
"""Which questions were asked while a run trained."""


class Image(TypedDict):
    """The image, if it ran in one, and the oldest driver that its torch computes with."""

    minimum_driver: str | None
    labels: dict[str, str] | None


class ComputeFacts(TypedDict):
    """Which of the ways to compute a run took."""

    layout: str
    attention: str
    targets_only_loss: bool
    lean_lora: bool
    gradient_checkpointing: bool
    onednn: bool
    sharding: str
    torch_compile: bool
    use_liger_kernel: bool
    deterministic: bool
    workers: int
    gradient_reduction: str


class Hardware(TypedDict):
    """What a run computed on."""

    machine: str
    cpu: str
    cpu_threads: int
    memory_bytes: int
    device: str
    gpu: NotRequired[str]
    gpu_memory_bytes: NotRequired[int]
    gpu_capability: NotRequired[str]


class StatementFacts(TypedDict):
    """What people state of the model, and the digest of the file that has it."""

    sha256: str
    values: dict[str, str | list[str]]


class InputFacts(TypedDict):
    """What decides an adapter, and where it stands: what is known before anything is computed."""

    inputs: dict[str, Any]
    data: DataFacts
    base_model: BaseFacts


class BaseDigests(TypedDict):
    """The base that was evaluated."""

    sha256: str  # of all its files together
    files: dict[str, str]


class AdapterDigests(TypedDict):
    """The adapter that was evaluated."""

    files: dict[str, str]
    trained_on_this_base: NotRequired[bool]  # where its manifest says on which


class EvaluationReport(TypedDict):
    """An evaluation, as `evaluation.json` has it; `medlora evaluate` adds what was evaluated."""

    schema: int
    kind: str
    base: NotRequired[BaseDigests]
    adapter: NotRequired[AdapterDigests | None]
    suites: dict[str, SuiteSummary]
    checker: str | None
    max_new_tokens: int
    software: dict[str, str | None]
    image: Image
    gate: GateResult | None


class RunFacts(Facts, total=False):
    """What the manifests of a run state; a result's has all of it, a checkpoint's a part.

    Attributes:
        inputs: {name: value} of all that decides the adapter.
        allowed_changes: names of inputs that a resumed run was allowed to change.
        config: every key.
        compute: which of the ways to compute were taken.
        differential_privacy: the guarantee, of a private run.
        eval_loss: of the best model alone.
    """

    schema: int
    demo: bool
    run_name: str
    job: dict[str, str | int | None]
    inputs: dict[str, Any]
    data: DataFacts
    base_model: BaseFacts
    statements: StatementFacts | None
    allowed_changes: list[str]
    asked: Asked | None
    software: dict[str, str | None]
    image: Image
    started: str
    finished: str
    config: dict[str, StatedSetting]
    seeds: dict[str, int]
    tokens: TokenFacts
    adapter: AdapterFacts
    precision: str
    result: Result
    gate: GateResult | None
    compute: ComputeFacts | None
    hardware: Hardware
    differential_privacy: Guarantee
    eval_loss: float


class RunManifest(RunFacts):
    """The manifest of a folder of a run, as it was read; of an older version's it may lack keys."""

    files: dict[str, str]
    sha256: str


def as_run(manifest: Manifest) -> RunManifest:
    """Return a manifest that was read from a run's folder as one that states more of the run."""
    return cast("RunManifest", manifest)
