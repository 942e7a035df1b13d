"""What a job asks of a trainer, whichever engine it runs on."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from medlora.report.manifest_schema import ComputeFacts, RunFacts
from medlora.trainer.run_checkpoints import CheckManifest
from medlora.trainer.train_result import TrainResult

T = TypeVar("T")


class RunTrainer(Protocol):
    """Trains one run; see `MedicalLoRATrainer`, which says what each method does and raises."""

    @property
    def device(self) -> torch.device:
        """Where the model is, once it has been trained."""

    @property
    def compute_facts(self) -> ComputeFacts | None:
        """What the manifest states of how it computed; None where nothing is known."""

    def gently(self) -> AbstractContextManager[None]:
        """Only note signals within the block, if this trainer looks at them."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context that the model computes in."""

    def resume(self, *, check: CheckManifest) -> int:
        """Go on from the newest checkpoint; return its step, 0 for none."""

    def train(self, *, prompts: Sequence[str]) -> TrainResult:
        """Train to the end."""

    def interruptibly(self, work: Callable[[Callable[[], None]], T]) -> T:
        """Do what follows the training."""

    def save(self, name: str, *, facts: RunFacts, files: Mapping[str, bytes]) -> Path:
        """Write the result."""
