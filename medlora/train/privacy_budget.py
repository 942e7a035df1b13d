"""What a private run may tell about one row, and what it has told so far.

Opacus's accountant of Renyi differential privacy adds the steps up, and its search finds the
noise that spends a given epsilon in a given number of steps.  Of its accountants that one is
the cautious choice: its bound is a closed formula, not a numerical integral, and a run's spending
depends on three numbers alone (noise, rate, steps), so that a resumed run cannot spend otherwise
than a straight one.
Source: Mironov, Talwar, Zhang, "Renyi Differential Privacy of the Sampled Gaussian Mechanism",
2019; Abadi et al., "Deep Learning with Differential Privacy", 2016.
"""

import warnings
from dataclasses import dataclass
from typing import TypedDict

from medlora.config import DpConfig
from medlora.errors import ConfigError

_LARGEST_DELTA = 1e-5
_DELTA_SHARE = 0.1  # of 1 / rows: at 1 / rows, publishing one row whole would be "private"
_TOLERANCE = 0.01  # of epsilon, or of one where it is larger
_SAME = 1e-9  # relative


@dataclass(frozen=True, slots=True)
class Budget:
    """How a run spends its epsilon: the same in every step."""

    noise_multiplier: float  # the noise's standard deviation in units of max_grad_norm
    sample_rate: float  # the chance of each row to be in a step
    max_grad_norm: float  # of one row's gradient
    step_rows: float  # in a step on average; what the noisy sum is divided by
    delta: float


def plan_budget(cfg: DpConfig, *, rows: int, sample_rate: float, steps: int) -> Budget:
    """Return the least noise that keeps a whole run within its epsilon.

    Args:
        cfg: the section, with an epsilon.
        rows: of the training split; taken to be known to everybody.
        sample_rate: the chance of each to be in a step.
        steps: of the whole run.

    Raises:
        ConfigError: no amount of noise does.
    """
    from opacus.accountants.utils import get_noise_multiplier

    epsilon = float(cfg.target_epsilon or 0.0)
    delta = cfg.target_delta or min(_LARGEST_DELTA, _DELTA_SHARE / rows)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bound at the last order is loose, yet a bound
            noise = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=sample_rate,
                steps=steps,
                accountant="rdp",
                epsilon_tolerance=min(1.0, epsilon) * _TOLERANCE,
            )
    except ValueError:
        raise ConfigError(
            f"privacy.dp: epsilon {epsilon:g} at delta {delta:g} cannot be reached in {steps} "
            "steps, with any amount of noise",
            fix="raise privacy.dp.target_epsilon or privacy.dp.target_delta",
        ) from None
    return Budget(noise, sample_rate, cfg.max_grad_norm, sample_rate * rows, delta)


class LedgerState(TypedDict):
    """What a checkpoint carries of a ledger."""

    mechanism: str
    history: list[list[float]]  # noise, sample rate and count of each row of equal steps


class Guarantee(TypedDict):
    """What differential privacy promises, and for what it holds."""

    epsilon: float
    delta: float
    noise_multiplier: float
    sample_rate: float
    max_grad_norm: float
    steps: int
    accountant: str
    unit: str
    covers: str


class Ledger:
    """Counts the steps that were paid for; its state is part of every checkpoint.

    A run that is killed goes on from its newest checkpoint, and the steps after that one are
    done again with other rows and other noise.  What they had computed is lost with the process:
    it was never written anywhere, for whatever is written comes after the checkpoint that counts
    its steps (`trainer.trainer`).  Only what gets out can tell anything, so the steps count once,
    and the run spends exactly what a straight one does.

    Args:
        budget: of the run.
        state: of the checkpoint that the run goes on from, as `state` returned it.

    Raises:
        ConfigError: the checkpoint was made under another budget.
    """

    def __init__(self, budget: Budget, state: LedgerState | None = None) -> None:
        from opacus.accountants import RDPAccountant

        self.budget = budget
        self._accountant = RDPAccountant()
        if state:
            self._accountant.load_state_dict(
                {**state, "history": [tuple(entry) for entry in state["history"]]}
            )
        for noise, rate, _ in self._accountant.history:
            planned = (budget.noise_multiplier, budget.sample_rate)
            if any(abs(a / b - 1) > _SAME for a, b in zip((noise, rate), planned, strict=True)):
                raise ConfigError(
                    f"the checkpoint was made with noise {noise:.6g} at sampling rate {rate:.6g}; "
                    f"the config now needs {planned[0]:.6g} at {planned[1]:.6g}",
                    fix="restore the rows, the number of steps and the privacy.dp that the run "
                    "began with, or start over with --fresh, which uses up further privacy budget",
                )

    def spend(self) -> None:
        """Count one step."""
        self._accountant.step(
            noise_multiplier=self.budget.noise_multiplier, sample_rate=self.budget.sample_rate
        )

    @property
    def state(self) -> LedgerState:
        """The accountant's state in JSON values."""
        history = [list(entry) for entry in self._accountant.history]
        return {"mechanism": self._accountant.mechanism(), "history": history}

    @property
    def facts(self) -> Guarantee:
        """What a manifest states: the guarantee so far, and for what it holds."""
        budget = self.budget
        return {
            "epsilon": self.epsilon,
            "delta": budget.delta,
            "noise_multiplier": budget.noise_multiplier,
            "sample_rate": budget.sample_rate,
            "max_grad_norm": budget.max_grad_norm,
            "steps": sum(entry[2] for entry in self._accountant.history),
            "accountant": self._accountant.mechanism(),
            "unit": "one row, there or not",
            "covers": "the adapter's weights",
        }

    @property
    def epsilon(self) -> float:
        """What was told so far about any one row, at the budget's delta."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(self._accountant.get_epsilon(delta=self.budget.delta))
