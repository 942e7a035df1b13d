"""What `privacy.dp` asks of a run: which settings it refuses, and what it spends."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accelerate import Accelerator
from peft import PeftModel
from torch.optim import AdamW
from torch.utils.data import DataLoader

from medlora.config import RunConfig
from medlora.data.poisson import PoissonSteps
from medlora.errors import ConfigError
from medlora.evaluate.generate import Poll
from medlora.logs import logger
from medlora.report.history import PRIVATE
from medlora.runs.saves import Save, checkpoint
from medlora.train.budget import Ledger, plan_budget
from medlora.train.dp import private_steps, system_entropy
from medlora.train.forward import Forward
from medlora.train.loop import StepResult, total_steps
from medlora.train.memory import Fit
from medlora.train.rowgrads import RowGradients, check_rows_apart

_log = logger(__name__)


def check_one_example_a_row(cfg: RunConfig, changes: Mapping[str, int]) -> None:
    """Refuse rows that are several examples where what one row may tell is limited.

    Raises:
        ConfigError: there are some, and privacy.dp is set.
    """
    rows = changes.get("rows_taught_turn_by_turn", 0)
    if cfg.is_private and rows:
        raise ConfigError(
            f"privacy.dp limits what one example tells, and {rows} rows are several: the base's "
            "chat template has them taught turn by turn",
            fix="give each turn a row of its own, with the same data.group_by, and let "
            "privacy.dp count those; or use a base whose template goes on from turn to turn",
        )


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
                "privacy.dp needs training rows that are drawn one by one",
                fix="give a loader that medlora.data.poisson.private_loader makes",
            )
        if accelerator.mixed_precision == "fp16":
            raise ConfigError(
                "this GPU has no bfloat16, and privacy.dp cannot use float16's loss scaler",
                fix="set training.fp16: false, which computes in float32",
            )
        self._loader, self._cfg, self._accelerator = loader, cfg.training, accelerator
        self._forward, self._gradients = forward, RowGradients(model)
        half = accelerator.mixed_precision != "no"
        check_rows_apart(model, forward, self._gradients, half=half)
        self._budget = plan_budget(
            cfg.privacy.dp,
            rows=sampler.rows,
            sample_rate=sampler.rate,
            steps=total_steps(loader, cfg.training),
        )
        self.ledger = Ledger(self._budget)
        self._entropy = system_entropy()
        _log.info(
            "differential privacy: epsilon %g at delta %.2g, noise %.4g, rate %.4g, clip %g",
            cfg.privacy.dp.target_epsilon,
            self._budget.delta,
            self._budget.noise_multiplier,
            self._budget.sample_rate,
            self._budget.max_grad_norm,
        )

    def restore(self, state: Mapping[str, Any] | None) -> None:
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

    def steps(self, optimizer: AdamW, *, start: int, fit: Fit, poll: Poll) -> Iterator[StepResult]:
        """Yield after each step, which is then in the ledger."""
        for result in private_steps(
            self._accelerator,
            optimizer,
            self._loader,
            self._cfg,
            budget=self._budget,
            gradients=self._gradients,
            forward=self._forward,
            fit=fit,
            entropy=self._entropy,
            start=start,
            poll=poll,
        ):
            self.ledger.spend()
            yield result

    @property
    def facts(self) -> dict[str, Any]:
        """What every manifest of the run states: the guarantee so far."""
        return {PRIVATE: self.ledger.facts}


def paid_first(saves: Sequence[Save], *, step: int) -> list[Save]:
    """Return what to write so that nothing gets out whose steps no checkpoint has counted.

    A best model without a checkpoint would outlive a kill, and the run would do its steps anew
    without counting both.

    Args:
        saves: what is due.
        step: that the run has done.
    """
    resumable = [one for one in saves if one.resumable]
    if not resumable and step:
        resumable = [checkpoint(f"step_{step}", needed=True)]
    return [*resumable, *(one for one in saves if not one.resumable)]
