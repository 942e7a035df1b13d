"""Training under `privacy.dp`: its steps, and what they have spent."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from accelerate import Accelerator
from peft import PeftModel
from torch.utils.data import DataLoader

from medlora.config import RunConfig
from medlora.data.poisson import PoissonSteps
from medlora.errors import ConfigError
from medlora.logs import logger
from medlora.train.dp_loop import Mechanism, private_steps, system_entropy
from medlora.train.forward import Forward
from medlora.train.loop import Computation, Drive, StepResult, total_steps
from medlora.train.privacy_budget import Ledger, LedgerState, plan_budget
from medlora.train.rowgrads import RowGradients, check_rows_apart

_log = logger(__name__)


class PrivateTraining:
    """The private part of a run: its steps, and what they have spent.

    Args:
        model: with PEFT's own layers.
        loader: of `data.poisson`.
        cfg: of the run.
        accelerator: decides device and precision.
        forward: how the model is called.

    Raises:
        ConfigError: this model, loader or device cannot do it.
    """

    def __init__(
        self,
        model: PeftModel,
        loader: DataLoader[Any],
        cfg: RunConfig,
        *,
        accelerator: Accelerator,
        forward: Forward,
    ) -> None:
        sampler = loader.batch_sampler
        if not isinstance(sampler, PoissonSteps):
            raise ConfigError(
                "privacy.dp needs Poisson sampling of the training rows",
                fix="use a loader from medlora.data.poisson.private_loader",
            )
        if accelerator.mixed_precision == "fp16":
            raise ConfigError(
                "this GPU has no bfloat16, and privacy.dp cannot use float16's loss scaler",
                fix="set training.fp16: false, which computes in float32",
            )
        gradients = RowGradients(model)
        half = accelerator.mixed_precision != "no"
        check_rows_apart(model, forward, gradients, half=half)
        budget = plan_budget(
            cfg.privacy.dp,
            rows=sampler.rows,
            sample_rate=sampler.rate,
            steps=total_steps(loader, cfg.training),
        )
        self._loader, self._budget = loader, budget
        self._mechanism = Mechanism(budget, gradients, system_entropy())
        self.ledger = Ledger(self._budget)
        _log.info(
            "differential privacy: epsilon %g at delta %.2g, noise %.4g, rate %.4g, clip %g",
            cfg.privacy.dp.target_epsilon,
            budget.delta,
            budget.noise_multiplier,
            budget.sample_rate,
            budget.max_grad_norm,
        )

    def restore(self, state: LedgerState | None) -> None:
        """Go on from what a checkpoint had spent.

        Raises:
            ConfigError: it was made without privacy, or under another budget.
        """
        if state is None:
            raise ConfigError(
                "the run's checkpoints were made without differential privacy",
                fix="start over with --fresh",
            )
        self.ledger = Ledger(self._budget, state)

    def steps(self, computation: Computation, drive: Drive) -> Iterator[StepResult]:
        """Return the steps, each of which is in the ledger before anybody is told of it."""

        def pay(result: StepResult, seconds: float) -> None:
            self.ledger.spend()
            drive.taken(result, seconds)

        paying = replace(drive, taken=pay)
        return private_steps(computation, self._loader, self._mechanism, paying)
